//! How queries are answered: bounds, and which experimental parts of the language are understood.

use std::time::Duration;

use promql::EngineOptions;
use query_api::Syntax;
use serde::Deserialize;

use super::resolver::Resolver;

/// What the query API and its engine run with.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct QuerySettings {
    /// The longest that one query may take.
    pub timeout: Duration,
    /// Queries that are evaluated at a time; more wait.
    pub concurrency: usize,
    /// Queries that may wait; more are refused.
    pub waiting_max: usize,
    /// Samples that one query may hold in memory.
    pub samples_max: usize,
    /// Samples that one remote read may answer.
    pub read_samples_max: usize,
    /// Bytes of one answer, before it is compressed.
    pub answer_bytes_max: usize,
    /// Experimental parts of the language.
    pub syntax: Syntax,
}

/// As it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct QueriesEntry {
    timeout: Option<String>,
    concurrency: Option<usize>,
    waiting_max: Option<usize>,
    samples_max: Option<usize>,
    read_samples_max: Option<usize>,
    answer_bytes_max: Option<usize>,
    #[serde(default)]
    features: Vec<String>,
}

impl Default for QuerySettings {
    fn default() -> Self {
        let (api, engine) = (query_api::Settings::default(), EngineOptions::default());
        Self {
            timeout: api.timeout,
            concurrency: api.concurrency,
            waiting_max: api.waiting_max,
            samples_max: engine.samples_max,
            read_samples_max: api.read_samples_max,
            answer_bytes_max: api.answer_bytes_max,
            syntax: api.syntax,
        }
    }
}

impl QuerySettings {
    /// Those of the API; the rest as it is usually.
    pub(crate) fn api(&self) -> query_api::Settings {
        query_api::Settings {
            timeout: self.timeout,
            concurrency: self.concurrency,
            waiting_max: self.waiting_max,
            answer_bytes_max: self.answer_bytes_max,
            read_samples_max: self.read_samples_max,
            syntax: self.syntax,
            ..Default::default()
        }
    }

    /// Those of the engine.
    pub(crate) fn engine(&self) -> EngineOptions {
        EngineOptions { samples_max: self.samples_max, ..EngineOptions::default() }
    }
}

impl Resolver {
    pub(super) fn queries(&mut self, entry: &QueriesEntry) -> QuerySettings {
        let default = QuerySettings::default();
        let timeout = entry.timeout.as_deref().map(|text| self.duration("queries: timeout", text));
        let mut count = |name: &str, value: Option<usize>, default: usize| match value {
            Some(0) => {
                self.mistakes.push(format!("queries: {name}: 0 would refuse every query; leave it out for {default}"));
                default
            }
            value => value.unwrap_or(default),
        };
        let concurrency = count("concurrency", entry.concurrency, default.concurrency);
        let samples_max = count("samplesMax", entry.samples_max, default.samples_max);
        let read_samples_max = count("readSamplesMax", entry.read_samples_max, default.read_samples_max);
        let answer_bytes_max = count("answerBytesMax", entry.answer_bytes_max, default.answer_bytes_max);
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            self.mistakes.push("queries: timeout: nothing can be answered in no time".to_owned());
        }
        let mut syntax = Syntax::default();
        for name in &entry.features {
            match FEATURES.iter().find(|(known, _)| known == name) {
                Some((_, switch)) => *switch(&mut syntax) = true,
                None => {
                    let known: Vec<&str> = FEATURES.iter().map(|(name, _)| *name).collect();
                    self.mistakes.push(format!("queries: features: {name:?} is not one of: {}", known.join(", ")));
                }
            }
        }
        QuerySettings {
            timeout: timeout.unwrap_or(default.timeout),
            concurrency,
            waiting_max: entry.waiting_max.unwrap_or(default.waiting_max),
            samples_max,
            read_samples_max,
            answer_bytes_max,
            syntax,
        }
    }
}

/// A switch of the grammar.
type Switch = fn(&mut Syntax) -> &mut bool;

/// Names as Prometheus' option `--enable-feature` has them.
const FEATURES: [(&str, Switch); 4] = [
    ("promql-experimental-functions", |syntax| &mut syntax.experimental_functions),
    ("promql-duration-expr", |syntax| &mut syntax.duration_expressions),
    ("promql-extended-range-selectors", |syntax| &mut syntax.extended_range_selectors),
    ("promql-binop-fill-modifiers", |syntax| &mut syntax.fill_modifiers),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(entry: QueriesEntry) -> (QuerySettings, Vec<String>) {
        let mut resolver = Resolver::default();
        let settings = resolver.queries(&entry);
        (settings, resolver.mistakes)
    }

    #[test]
    fn what_is_said_counts_and_the_rest_is_as_usual() {
        assert_eq!(resolve(QueriesEntry::default()), (QuerySettings::default(), vec![]));
        let features = FEATURES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let entry = QueriesEntry {
            timeout: Some("30s".into()),
            concurrency: Some(3),
            waiting_max: Some(0),
            features,
            ..QueriesEntry::default()
        };
        let (settings, mistakes) = resolve(entry);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!((settings.timeout, settings.concurrency, settings.waiting_max), (Duration::from_secs(30), 3, 0));
        assert_eq!(settings.api().features(), FEATURES.map(|(name, _)| name));
    }

    #[test]
    fn mistakes_are_named() {
        let entry = QueriesEntry {
            timeout: Some("0s".into()),
            concurrency: Some(0),
            features: vec!["promql-everything".into()],
            ..QueriesEntry::default()
        };
        let mistakes = resolve(entry).1;
        for (mistake, part) in mistakes.iter().zip(["concurrency", "timeout", "promql-everything"]) {
            assert!(mistake.contains(part), "{mistake}");
        }
        assert_eq!(mistakes.len(), 3);
    }
}
