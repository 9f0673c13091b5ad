//! A view that does not tell cases apart: matchers meet names and values in any case. Series are shown as they were stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Labels, MatchOp, Matcher};
use storage::{BoxFuture, LeftOut, Querier, QueryError, Queryable, SelectHints, Series, SeriesSet, TimeRange};

/// See the module's text.
pub(crate) struct AnyCase {
    inner: Arc<dyn Queryable>,
}

impl AnyCase {
    pub(crate) fn new(inner: Arc<dyn Queryable>) -> Self {
        Self { inner }
    }
}

impl Queryable for AnyCase {
    fn querier(&self, range: TimeRange) -> Box<dyn Querier> {
        Box::new(AnyCaseQuerier { inner: self.inner.querier(range), range })
    }

    fn querier_with(&self, range: TimeRange, left_out: Arc<LeftOut>) -> Box<dyn Querier> {
        Box::new(AnyCaseQuerier { inner: self.inner.querier_with(range, left_out), range })
    }
}

struct AnyCaseQuerier {
    inner: Box<dyn Querier>,
    range: TimeRange,
}

/// Matchers by who can answer them.
#[derive(Default)]
struct Split {
    /// The view beneath.
    beneath: Vec<Matcher>,
    /// Of labels whose name is spelled in several ways: asked of each series.
    rest: Vec<Matcher>,
}

impl AnyCaseQuerier {
    async fn split(&self, matchers: &[Matcher]) -> Result<Split, QueryError> {
        let mut split = Split::default();
        if matchers.is_empty() {
            return Ok(split);
        }
        let names = self.inner.label_names(&[], 0).await?;
        for matcher in matchers {
            let mut spelled = names.iter().filter(|name| name.eq_ignore_ascii_case(matcher.name()));
            match (spelled.next(), spelled.next()) {
                (Some(_), Some(_)) => split.rest.push(in_any_case(matcher, matcher.name())?),
                (name, _) => split.beneath.push(in_any_case(matcher, name.map_or(matcher.name(), |name| name))?),
            }
        }
        Ok(split)
    }

    async fn series(&self, matchers: &[Matcher], hints: SelectHints) -> Result<Filtered, QueryError> {
        let Split { beneath, rest } = self.split(matchers).await?;
        let limit = hints.limit;
        let hints = match rest.is_empty() {
            true => hints,
            // What is taken away afterwards does not count, and is known by labels that nobody else looks at.
            false => SelectHints { limit: 0, labels: None, ..hints },
        };
        let inner = self.inner.select(&beneath, hints).await?;
        Ok(Filtered { inner, rest, left: if limit == 0 { usize::MAX } else { limit } })
    }

    /// Texts that the series have, for questions that the view beneath cannot answer.
    async fn walk(
        &self,
        matchers: &[Matcher],
        limit: usize,
        mut take: impl FnMut(&Labels, &mut BTreeSet<String>),
    ) -> Result<Vec<String>, QueryError> {
        let mut series = self.series(matchers, SelectHints::series_only(self.range)).await?;
        let mut texts = BTreeSet::new();
        while let Some(one) = series.next()? {
            take(&one.labels, &mut texts);
        }
        Ok(texts.into_iter().take(if limit == 0 { usize::MAX } else { limit }).collect())
    }
}

impl Querier for AnyCaseQuerier {
    fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
        hints: SelectHints,
    ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        Box::pin(async move { Ok(Box::new(self.series(matchers, hints).await?) as Box<dyn SeriesSet>) })
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(async move {
            let Split { beneath, rest } = self.split(matchers).await?;
            if rest.is_empty() {
                return self.inner.label_names(&beneath, limit).await;
            }
            self.walk(matchers, limit, |labels, names| names.extend(labels.iter().map(|(name, _)| name.to_owned())))
                .await
        })
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(async move {
            let Split { beneath, rest } = self.split(matchers).await?;
            let names = self.inner.label_names(&[], 0).await?;
            let spelled: Vec<&String> = names.iter().filter(|known| known.eq_ignore_ascii_case(name)).collect();
            match spelled.as_slice() {
                [] => Ok(Vec::new()),
                [known] if rest.is_empty() => self.inner.label_values(known, &beneath, limit).await,
                _ => {
                    let values = |labels: &Labels| {
                        let named = labels.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
                        named.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
                    };
                    self.walk(matchers, limit, |labels, texts| texts.extend(values(labels))).await
                }
            }
        })
    }
}

/// Series without those that do not meet the rest of the matchers.
struct Filtered {
    inner: Box<dyn SeriesSet>,
    rest: Vec<Matcher>,
    left: usize,
}

impl SeriesSet for Filtered {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        while self.left > 0 {
            let Some(series) = self.inner.next()? else { return Ok(None) };
            if self.rest.iter().all(|matcher| meets(&series.labels, matcher)) {
                self.left -= 1;
                return Ok(Some(series));
            }
        }
        Ok(None)
    }
}

/// Whether one of the labels with this name, in any case, meets the matcher; a label that is not there is empty.
fn meets(labels: &Labels, matcher: &Matcher) -> bool {
    let mut values =
        labels.iter().filter(|(name, _)| name.eq_ignore_ascii_case(matcher.name())).map(|(_, value)| value).peekable();
    match values.peek() {
        None => matcher.matches_empty(),
        Some(_) => values.any(|value| matcher.matches(value)),
    }
}

/// The matcher, of the label `name`, for values in any case.
fn in_any_case(matcher: &Matcher, name: &str) -> Result<Matcher, QueryError> {
    let value = matcher.value();
    let has_case = |text: &str| text.chars().any(|c| c.to_lowercase().ne([c]) || c.to_uppercase().ne([c]));
    let (op, value) = match matcher.op() {
        op if !has_case(value) => (op, value.to_owned()),
        MatchOp::Equal => (MatchOp::Regex, format!("(?i:{})", escaped(value))),
        MatchOp::NotEqual => (MatchOp::NotRegex, format!("(?i:{})", escaped(value))),
        op => (op, format!("(?i:{value})")),
    };
    // Patterns grow when they meet both cases, at worst beyond what patterns may be.
    let refused = |error| QueryError::Unavailable(format!("a pattern cannot be met in any case: {error}").into());
    Matcher::new(op, name, &value).map_err(refused)
}

/// A text as a pattern that meets nothing else.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use testkit::series_store::SeriesStore;

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("a store in memory does not wait"),
        }
    }

    fn view() -> AnyCase {
        let store = SeriesStore::new();
        let lines =
            "Up{job=\"API\",Zone=\"a.b\"} 1\nup{job=\"api\",zone=\"AxB\"} 1\nup{job=\"web\"} 1\ndown{Job=\"web\"} 1";
        store.load(1000, lines).unwrap();
        AnyCase::new(Arc::new(store))
    }

    #[track_caller]
    fn check(matchers: &[(MatchOp, &str, &str)], expected: &[&str]) {
        let matchers: Vec<_> =
            matchers.iter().map(|(op, name, value)| Matcher::new(*op, name, value).unwrap()).collect();
        let view = view();
        let querier = view.querier(TimeRange::ALL);
        let mut set = now(querier.select(&matchers, SelectHints::series_only(TimeRange::ALL))).unwrap();
        let found: Vec<String> = std::iter::from_fn(|| set.next().unwrap()).map(|s| s.labels.to_string()).collect();
        assert_eq!(found, expected, "{matchers:?}");
    }

    const API: &str = r#"Up{Zone="a.b", job="API"}"#;
    const AXB: &str = r#"up{job="api", zone="AxB"}"#;
    const WEB: &str = r#"up{job="web"}"#;
    const DOWN: &str = r#"down{Job="web"}"#;

    #[test]
    fn matchers_meet_any_case() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        check(&[(Equal, "__name__", "UP")], &[API, AXB, WEB]);
        check(&[(Equal, "__NAME__", "up"), (Regex, "job", "A.*")], &[API, AXB]);
        // Two spellings of a name: each series is asked.
        check(&[(Equal, "JOB", "WEB")], &[DOWN, WEB]);
        check(&[(NotEqual, "job", "web")], &[API, AXB]);
        check(&[(NotRegex, "job", "WE.")], &[API, AXB]);
        check(&[(Equal, "zone", "A.B")], &[API]);
        check(&[(Equal, "zone", "")], &[DOWN, WEB]);
        check(&[(Equal, "nothing", ""), (Equal, "__name__", "down")], &[DOWN]);
        check(&[(Equal, "nothing", "x")], &[]);
    }

    /// Shows of labels only those that are asked for, as a database may.
    struct Narrow(SeriesStore);

    struct NarrowSet(Box<dyn SeriesSet>, Option<Arc<[String]>>);

    impl Queryable for Narrow {
        fn querier(&self, _: TimeRange) -> Box<dyn Querier> {
            Box::new(Self(self.0.clone()))
        }
    }

    impl Querier for Narrow {
        fn select<'a>(
            &'a self,
            matchers: &'a [Matcher],
            hints: SelectHints,
        ) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
            let wanted = hints.labels.clone();
            let found = now(self.0.querier(TimeRange::ALL).select(matchers, hints));
            Box::pin(async move { Ok(Box::new(NarrowSet(found?, wanted)) as Box<dyn SeriesSet>) })
        }

        fn label_names<'a>(
            &'a self,
            matchers: &'a [Matcher],
            limit: usize,
        ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
            Box::pin(std::future::ready(now(self.0.querier(TimeRange::ALL).label_names(matchers, limit))))
        }

        fn label_values<'a>(
            &'a self,
            name: &'a str,
            matchers: &'a [Matcher],
            limit: usize,
        ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
            Box::pin(std::future::ready(now(self.0.querier(TimeRange::ALL).label_values(name, matchers, limit))))
        }
    }

    impl SeriesSet for NarrowSet {
        fn next(&mut self) -> Result<Option<Series>, QueryError> {
            let Some(series) = self.0.next()? else { return Ok(None) };
            let wanted = |name: &str| self.1.as_ref().is_none_or(|names| names.iter().any(|wanted| wanted == name));
            let labels = Labels::from_pairs(series.labels.iter().filter(|(name, _)| wanted(name))).unwrap();
            Ok(Some(Series { labels, ..series }))
        }
    }

    #[test]
    fn labels_that_nobody_looks_at_are_matched_all_the_same() {
        let store = SeriesStore::new();
        store.load(1000, "up{job=\"a\",Zone=\"1\"} 1\nup{job=\"b\",zone=\"1\"} 1\nup{job=\"c\",zone=\"2\"} 1").unwrap();
        let view = AnyCase::new(Arc::new(Narrow(store)));
        let querier = view.querier(TimeRange::ALL);
        let hints = SelectHints { labels: Some(["job".to_owned()].into()), ..SelectHints::samples(TimeRange::ALL) };
        let zone = [Matcher::equal("zone", "1")];
        let mut set = now(querier.select(&zone, hints)).unwrap();
        let jobs: Vec<String> =
            std::iter::from_fn(|| set.next().unwrap()).map(|series| series.labels.get("job").unwrap().into()).collect();
        assert_eq!(jobs, ["a", "b"]);
    }

    #[test]
    fn names_and_values() {
        let view = view();
        let querier = view.querier(TimeRange::ALL);
        let up = [Matcher::equal("__name__", "UP")];
        let web = [Matcher::equal("JOB", "WEB")];
        assert_eq!(now(querier.label_names(&up, 0)).unwrap(), ["Zone", "__name__", "job", "zone"]);
        assert_eq!(now(querier.label_names(&web, 2)).unwrap(), ["Job", "__name__"]);
        assert_eq!(now(querier.label_values("__NAME__", &[], 0)).unwrap(), ["Up", "down", "up"]);
        assert_eq!(now(querier.label_values("job", &[], 0)).unwrap(), ["API", "api", "web"]);
        assert_eq!(now(querier.label_values("job", &web, 0)).unwrap(), ["web"]);
        assert!(now(querier.label_values("nothing", &[], 0)).unwrap().is_empty());
    }
}
