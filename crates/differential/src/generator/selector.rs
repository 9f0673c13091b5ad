//! Selectors, their modifiers, ranges and subqueries.

use super::Generator;
use crate::dataset::{INSTANCES, JOBS, SPAN_MS, START};

/// A metric with the labels that its series differ in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    /// Beside `job`.
    pub(super) labels: &'static [&'static str],
}

pub(super) const FLOATS: [Metric; 11] = [
    Metric { name: "requests_total", labels: &["instance", "path", "code"] },
    Metric { name: "requests_total", labels: &["instance", "path", "code"] },
    Metric { name: "errors_total", labels: &["instance", "path"] },
    Metric { name: "memory_bytes", labels: &["instance", "kind"] },
    Metric { name: "memory_bytes", labels: &["instance", "kind"] },
    Metric { name: "limit_bytes", labels: &["instance"] },
    Metric { name: "flapping", labels: &["instance"] },
    Metric { name: "sparse", labels: &["instance"] },
    Metric { name: "temperature", labels: &["instance"] },
    Metric { name: "special", labels: &["shape"] },
    Metric { name: "replicas", labels: &[] },
];

pub(super) const HISTOGRAMS: [Metric; 5] = [
    Metric { name: "size_int", labels: &["instance"] },
    Metric { name: "size_float", labels: &["instance"] },
    Metric { name: "size_custom", labels: &["instance"] },
    Metric { name: "size_gauge", labels: &["instance"] },
    Metric { name: "size_mixed", labels: &["instance"] },
];

impl Generator {
    /// `metric{…}` with modifiers.
    pub(super) fn selector(&mut self) -> String {
        let metric = self.metric();
        let series = self.series(metric);
        format!("{series}{}", self.modifiers())
    }

    /// A metric that is there, mostly.
    pub(super) fn metric(&mut self) -> Metric {
        if self.histograms && self.chance.one_in(3) {
            return self.pick(&HISTOGRAMS);
        }
        self.pick(&FLOATS)
    }

    /// Its name with matchers, without modifiers.
    pub(super) fn series(&mut self, metric: Metric) -> String {
        match self.chance.below(30) {
            0 => return "nothing".to_owned(),
            1 => return r#"{__name__=~"requests_total|errors_total"}"#.to_owned(),
            2 => return r#"{__name__=~"latency_seconds_.+",job="api"}"#.to_owned(),
            _ => {}
        }
        let mut matchers = Vec::new();
        if self.chance.one_in(3) {
            let op = self.pick(&["=", "!=", "=~", "!~"]);
            matchers.push(format!("job{op}\"{}\"", self.pick(&JOBS)));
        }
        if metric.labels.contains(&"instance") && self.chance.one_in(3) {
            let matcher = match self.chance.below(4) {
                0 => format!("instance=\"{}\"", self.pick(&INSTANCES)),
                1 => "instance=~\"a:.*|b:.*\"".to_owned(),
                2 => "instance!~\"[ac]:[0-9]\"".to_owned(),
                _ => "instance!=\"\"".to_owned(),
            };
            matchers.push(matcher);
        }
        if metric.labels.contains(&"code") && self.chance.one_in(3) {
            matchers
                .push(self.pick(&["code=\"200\"", "code=~\"4..|5..\"", "code!=\"404\"", "missing=\"\""]).to_owned());
        }
        if metric.labels.contains(&"kind") && self.chance.one_in(3) {
            matchers.push(self.pick(&["kind=\"free\"", "kind!=\"used\"", "kind=~\"(?i)FREE\""]).to_owned());
        }
        match matchers.is_empty() {
            true => metric.name.to_owned(),
            false => format!("{}{{{}}}", metric.name, matchers.join(",")),
        }
    }

    /// `offset` and `@`, seldom.
    pub(super) fn modifiers(&mut self) -> String {
        let mut text = String::new();
        if self.chance.one_in(7) {
            let offset = self.pick(&["10s", "1m", "5m", "-1m", "-30s", "1h", "1m30s"]);
            text.push_str(&format!(" offset {offset}"));
        }
        if self.chance.one_in(10) {
            let at = match self.chance.below(3) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => format!("{}", (START.0 + 7_000 + 10_000 * self.chance.between(0, SPAN_MS / 10_000)) / 1000),
            };
            text.push_str(&format!(" @ {at}"));
        }
        text
    }

    /// A range vector.
    pub(super) fn matrix(&mut self, depth: usize) -> String {
        let metric = self.metric();
        self.matrix_of(metric, depth)
    }

    /// A range vector, of `metric` when it is a plain one.
    pub(super) fn matrix_of(&mut self, metric: Metric, depth: usize) -> String {
        // Times of an inner subquery are multiples of the outer one's step: on the edges of its range.
        let nested = self.subqueries > 0 && self.dialect == crate::Dialect::Old;
        if depth > 0 && !nested && self.chance.one_in(4) {
            return self.subquery(depth);
        }
        let range = self.range();
        let extended = match self.dialect.is_experimental() && self.chance.one_in(5) {
            true => self.pick(&[" anchored", " smoothed"]),
            false => "",
        };
        let series = self.series(metric);
        format!("{series}[{range}]{extended}{}", self.modifiers())
    }

    fn subquery(&mut self, depth: usize) -> String {
        self.subqueries += 1;
        let inner = match self.chance.one_in(10) {
            true => format!("vector({})", self.scalar(depth - 1)),
            false => self.vector(depth - 1),
        };
        self.subqueries -= 1;
        let inner = match inner.contains(' ') || inner.starts_with('-') {
            true => format!("({inner})"),
            false => inner,
        };
        let range = self.pick(&["1m", "2m", "5m", "10m"]);
        let step = self.pick(&["", "10s", "10s", "30s", "20s", "1m"]);
        format!("{inner}[{range}:{step}]{}", self.modifiers())
    }

    fn range(&mut self) -> String {
        if self.dialect.is_experimental() && self.chance.one_in(10) {
            return self
                .pick(&["1m + 30s", "2 * 1m", "step()", "max_of(step(), 1m)", "min_of(range() + 1m, 5m)", "5m - 20s"])
                .to_owned();
        }
        self.pick(&["1s", "20s", "1m", "1m", "2m", "5m", "5m", "10m", "30m"]).to_owned()
    }
}
