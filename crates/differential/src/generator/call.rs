//! Calls of functions.

use promql_syntax::{Function, ValueType, Variadic};

use super::Generator;
use super::selector::Metric;

/// Functions of a vector that have a place of their own in [`Generator::vector`].
const ELSEWHERE: [&str; 13] = [
    "absent",
    "histogram_quantile",
    "histogram_quantiles",
    "info",
    "label_join",
    "label_replace",
    "scalar",
    "sort",
    "sort_by_label",
    "sort_by_label_desc",
    "sort_desc",
    "timestamp",
    "vector",
];

const DATES: [&str; 8] =
    ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];

impl Generator {
    /// A function of a range vector.
    pub(super) fn range_call(&mut self, depth: usize) -> String {
        let metric = self.metric();
        self.range_call_of(metric, depth)
    }

    /// A function of a range of `metric`, mostly.
    pub(super) fn range_call_of(&mut self, metric: Metric, depth: usize) -> String {
        let is_one = |function: &&&Function| {
            function.arg_types.contains(&ValueType::Matrix) && function.name != "absent_over_time"
        };
        let all: Vec<&'static Function> = self.functions.iter().filter(is_one).copied().collect();
        let function = match self.chance.one_in(4) {
            // The most used ones.
            true => {
                let name = self.pick(&["rate", "increase", "delta", "sum_over_time", "avg_over_time"]);
                all.iter().copied().find(|function| function.name == name).unwrap_or(all[0])
            }
            false => self.pick(&all),
        };
        let matrix = self.matrix_of(metric, depth - 1);
        let arguments = match function.name {
            "quantile_over_time" => format!("{}, {matrix}", self.quantile()),
            "predict_linear" => format!("{matrix}, {}", self.pick(&["600", "-60", "0", "3600"])),
            "double_exponential_smoothing" => {
                format!("{matrix}, {}, {}", self.pick(&["0.1", "0.5", "0.8"]), self.pick(&["0.1", "0.5", "0.9"]))
            }
            _ => matrix,
        };
        // Only these know what to do with the edges that the modifiers make.
        let extends = |word: &str| arguments.contains(&format!("] {word}"));
        let fits = match (extends("anchored"), extends("smoothed")) {
            (true, _) => ["rate", "increase", "delta", "resets", "changes"].contains(&function.name),
            (_, true) => ["rate", "increase", "delta"].contains(&function.name),
            _ => true,
        };
        match fits {
            true => format!("{}({arguments})", function.name),
            false => format!("increase({})", matrix_alone(&arguments)),
        }
    }

    /// A function of an instant vector, with whatever scalars it takes.
    pub(super) fn vector_call(&mut self, depth: usize) -> String {
        if self.dialect.is_experimental() && self.chance.one_in(12) {
            return self.experimental_call(depth);
        }
        let is_one = |function: &&&Function| {
            function.return_type == ValueType::Vector
                && function.arg_types.contains(&ValueType::Vector)
                && !function.arg_types.contains(&ValueType::String)
                && !ELSEWHERE.contains(&function.name)
        };
        let all: Vec<&'static Function> = self.functions.iter().filter(is_one).copied().collect();
        let function = self.pick(&all);
        if DATES.contains(&function.name) {
            return self.date(function.name, depth);
        }
        // The last argument may be left out where that is so.
        let optional = matches!(function.variadic, Variadic::UpTo(_)) && self.chance.one_in(2);
        let number = function.arg_types.len() - usize::from(optional);
        let mut arguments = Vec::new();
        for argument in &function.arg_types[..number] {
            arguments.push(match argument {
                ValueType::Vector => self.vector(depth - 1),
                _ => self.scalar(depth.saturating_sub(2)),
            });
        }
        format!("{}({})", function.name, arguments.join(", "))
    }

    /// A part of a date, of numbers that are dates: what comes of others depends on the peer's processor.
    fn date(&mut self, function: &str, depth: usize) -> String {
        match self.chance.below(4) {
            0 => format!("{function}()"),
            1 => format!("{function}(timestamp({}) + {})", self.vector(depth - 1), self.pick(&["0", "1e6", "-1e9"])),
            2 => format!("{function}(requests_total * {})", self.pick(&["3600", "1234.5", "-10000"])),
            _ => format!("{function}(vector(time() * {}))", self.pick(&["1", "-1", "0.5", "20"])),
        }
    }

    fn experimental_call(&mut self, depth: usize) -> String {
        let inner = self.vector(depth - 1);
        match self.chance.below(5) {
            0 => format!("info({inner})"),
            1 => format!("info({inner}, {{region=~\".+\"}})"),
            2 => format!("info({inner}, {{__name__=~\"build_info|target_info\", version=\"1.0\"}})"),
            3 => format!("histogram_quantiles({inner}, \"q\", 0.5, 0.9, {})", self.quantile()),
            _ => format!("histogram_quantiles({}, \"q\", 0.25, 1)", self.buckets()),
        }
    }

    /// `label_replace` or `label_join`.
    pub(super) fn relabel(&mut self, depth: usize) -> String {
        let inner = self.vector(depth - 1);
        match self.chance.below(6) {
            0 => format!(r#"label_replace({inner}, "host", "$1", "instance", "(.*):.*")"#),
            1 => format!(r#"label_replace({inner}, "job", "x-$1-$2", "path", "/(.)(.*)")"#),
            2 => format!(r#"label_replace({inner}, "kind", "", "kind", "free")"#),
            3 => format!(r#"label_replace({inner}, "shape", "${{name}}", "instance", "(?P<name>[ab]).+")"#),
            4 => format!(r#"label_join({inner}, "both", "/", "job", "instance")"#),
            _ => format!(r#"label_join({inner}, "kind", ",")"#),
        }
    }

    /// `histogram_quantile` and its like over classic buckets, or over whatever there is.
    pub(super) fn quantile_of_buckets(&mut self, depth: usize) -> String {
        let quantile = self.quantile();
        match self.chance.below(8) {
            0 => format!("histogram_quantile({quantile}, {})", self.vector(depth - 1)),
            1 if self.histograms => {
                format!("histogram_fraction({}, {}, {})", self.number(), self.number(), self.buckets())
            }
            _ => format!("histogram_quantile({quantile}, {})", self.buckets()),
        }
    }

    fn buckets(&mut self) -> String {
        let (range, modifiers) = (self.pick(&["1m", "2m", "5m"]), self.modifiers());
        match self.chance.below(4) {
            0 => format!("latency_seconds_bucket{modifiers}"),
            1 => format!("rate(latency_seconds_bucket[{range}]{modifiers})"),
            2 => format!("sum by (le) (rate(latency_seconds_bucket[{range}]{modifiers}))"),
            _ => format!("sum without (instance) (increase(latency_seconds_bucket{{le!=\"1\"}}[{range}]{modifiers}))"),
        }
    }

    pub(super) fn quantile(&mut self) -> &'static str {
        self.pick(&["0.5", "0.9", "0.99", "0", "1", "0.25", "-1", "2", "NaN"])
    }
}

/// The range vector among arguments: what is left without those that hold no brackets.
fn matrix_alone(arguments: &str) -> &str {
    let start = match arguments.split_once(", ") {
        Some((first, rest)) if !first.contains(['[', '{', '(']) => &arguments[arguments.len() - rest.len()..],
        _ => arguments,
    };
    match start.rfind(']') {
        Some(end) => {
            let rest = start[end..].find(',').map_or(start.len(), |comma| end + comma);
            &start[..rest]
        }
        None => start,
    }
}
