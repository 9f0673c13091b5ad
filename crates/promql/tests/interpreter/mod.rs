//! A small interpreter of Prometheus' test scripts: `load`, `clear`, `eval instant`, `eval range`, and their
//! expectations. No growing histograms, start timestamps or expected annotation regexes.

use std::fmt::Write as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use model::{Labels, NativeHistogram, ResetHint, TimestampMs, is_stale_nan};
use promql::{
    Engine, EngineOptions, EvalError, EvalTime, QueryResult, RangeSeries, Sample, SampleValue, Severity, Value,
};
use promql_syntax::{Options, parse_expr};
use testkit::series_notation::{NotationError, SeriesLine, parse_duration_ms, parse_number, parse_series_line};
use testkit::series_store::{SeriesStore, StoredValue};

/// What became of the cases of a script.
#[derive(Default, Debug)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    /// Line and what differs.
    pub(crate) failed: Vec<(usize, String)>,
    /// Line and what is not supported: native histograms in the data or expectations, parts of the language.
    pub(crate) unsupported: Vec<(usize, String)>,
}

/// Runs a script with an engine and a grammar.
pub(crate) fn run(script: &str, options: EngineOptions, grammar: Options) -> Report {
    let mut interpreter = Interpreter { engine: Engine::new(options), grammar, ..Interpreter::default() };
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let mut index = 0;
    while index < lines.len() {
        let start = index;
        index += 1;
        if is_empty(lines[start]) {
            continue;
        }
        while index < lines.len() && !is_empty(lines[index]) {
            index += 1;
        }
        interpreter.block(start + 1, &lines[start..index]);
    }
    interpreter.report
}

fn is_empty(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

#[derive(Default)]
struct Interpreter {
    engine: Engine,
    grammar: Options,
    store: SeriesStore,
    /// The store lacks series that a script loaded: cases that fail now say nothing.
    incomplete: bool,
    report: Report,
}

enum Outcome {
    Failed(String),
    Unsupported(String),
}

impl Interpreter {
    fn block(&mut self, line: usize, block: &[&str]) {
        let word = block[0].split_ascii_whitespace().next().unwrap_or("").to_lowercase();
        if word == "clear" {
            self.store = SeriesStore::new();
            self.incomplete = false;
            // Commands may follow each other without an empty line.
            if block.len() > 1 {
                self.block(line + 1, &block[1..]);
            }
        } else if word.starts_with("load") {
            self.load(line, block);
        } else if word.starts_with("eval") {
            match self.eval(block) {
                Ok(()) => self.report.passed += 1,
                Err(Outcome::Failed(what)) if !self.incomplete => self.report.failed.push((line, what)),
                Err(Outcome::Failed(what) | Outcome::Unsupported(what)) => self.report.unsupported.push((line, what)),
            }
        } else {
            self.report.failed.push((line, format!("unknown command {word}")));
        }
    }

    fn load(&mut self, line: usize, block: &[&str]) {
        let step = block[0].split_ascii_whitespace().nth(1).unwrap_or("");
        let step_ms = match parse_duration_ms(step) {
            Ok(step_ms) => step_ms,
            Err(error) => return self.report.failed.push((line, error.to_string())),
        };
        self.incomplete |= block[0].starts_with("load_with_nhcb");
        for (offset, text) in block.iter().enumerate().skip(1) {
            match parse_series_line(text) {
                Ok(series) => self.store.load_line(&series, step_ms),
                Err(NotationError::GrowingHistogram) => self.incomplete = true,
                Err(_) if text.contains("@st") => self.incomplete = true,
                Err(error) => self.report.failed.push((line + offset, error.to_string())),
            }
        }
    }

    fn eval(&mut self, block: &[&str]) -> Result<(), Outcome> {
        let Some((command, rest)) = block[0].split_once(char::is_whitespace) else { return failed("no query") };
        let (query, time) = parse_query(rest.trim())?;
        let mut expected = Expectations::parse(&block[1..])?;
        expected.ordered |= command == "eval_ordered";
        expected.fails |= command == "eval_fail";
        let result = self.evaluate(query, time);
        expected.check(query, time, result)?;
        match time {
            EvalTime::Instant(at) if expected.also_as_range(query) => self.check_as_range(query, at, &expected),
            _ => Ok(()),
        }
    }

    /// An instant query must give the same as the middle one of three steps.
    fn check_as_range(&self, query: &str, at: TimestampMs, expected: &Expectations) -> Result<(), Outcome> {
        let time = EvalTime::Range { start: at.plus(-60_000), end: at.plus(60_000), step_ms: 60_000 };
        let result = match self.evaluate(query, time)? {
            Ok(result) => result,
            Err(error) => return failed(&format!("as a range query: {error}")),
        };
        let Value::Matrix(series) = result.value else { return failed("a range query gives a matrix") };
        let middle = spread(&series, at.0 - 60_000, 60_000).into_iter().filter_map(|mut line| {
            line.values = vec![Some(line.values.get(1)?.clone()?)];
            Some(line)
        });
        let found: Vec<_> = middle.collect();
        let wanted = match expected.scalar {
            Some(value) => {
                vec![SeriesLine { labels: Labels::empty(), values: vec![Some(StoredValue::Float(value))] }]
            }
            None => expected.series.clone(),
        };
        compare(&wanted, &found, false).map_err(|what| Outcome::Failed(format!("as a range query: {what}")))
    }

    fn evaluate(&self, query: &str, time: EvalTime) -> Result<Result<QueryResult, String>, Outcome> {
        let expr = match parse_expr(query, self.grammar) {
            Ok(expr) => expr,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let prepared = now(self.engine.prepare(&self.store, &expr, time));
        match prepared.and_then(|prepared| prepared.evaluate(&|| None)) {
            Ok(result) => Ok(Ok(result)),
            Err(error @ EvalError::NotYetSupported(_)) => Err(Outcome::Unsupported(error.to_string())),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

/// What a case expects.
#[derive(Default)]
struct Expectations {
    fails: bool,
    fail_text: Option<String>,
    ordered: bool,
    annotations: Vec<(Severity, Wanted)>,
    text: Option<String>,
    scalar: Option<f64>,
    /// Start and step of the samples of an expected range vector.
    range_vector: Option<(i64, i64)>,
    series: Vec<SeriesLine>,
}

enum Wanted {
    Some,
    None,
    Text(String),
}

impl Expectations {
    fn parse(lines: &[&str]) -> Result<Self, Outcome> {
        let mut expected = Self::default();
        for line in lines {
            match line.strip_prefix("expect ") {
                Some(expectation) => expected.parse_expectation(expectation.trim())?,
                None if line.starts_with("expected_fail_message") => {
                    expected.fail_text = Some(line["expected_fail_message".len()..].trim().to_owned());
                }
                None if line.starts_with("expected_fail_regexp") => {
                    return Err(Outcome::Unsupported("a regular expression".into()));
                }
                None => match (parse_number(line), parse_series_line(line)) {
                    (Ok(value), _) => expected.scalar = Some(value),
                    (_, Ok(series)) => expected.series.push(series),
                    (_, Err(NotationError::GrowingHistogram)) => {
                        return Err(Outcome::Unsupported("native histogram".into()));
                    }
                    (_, Err(error)) => return failed(&error.to_string()),
                },
            }
        }
        Ok(expected)
    }

    fn parse_expectation(&mut self, text: &str) -> Result<(), Outcome> {
        let (kind, detail) = text.split_once(' ').unwrap_or((text, ""));
        let detail = detail.trim();
        let message = detail.strip_prefix("msg:").map(|message| message.trim().to_owned());
        if detail.starts_with("regex:") {
            return Err(Outcome::Unsupported("a regular expression".into()));
        }
        let wanted = message.clone().map_or(Wanted::Some, Wanted::Text);
        match kind {
            "fail" => (self.fails, self.fail_text) = (true, message),
            "ordered" => self.ordered = true,
            "warn" => self.annotations.push((Severity::Warning, wanted)),
            "no_warn" => self.annotations.push((Severity::Warning, Wanted::None)),
            "info" => self.annotations.push((Severity::Info, wanted)),
            "no_info" => self.annotations.push((Severity::Info, Wanted::None)),
            "string" => self.text = Some(detail.trim_matches(['"', '`']).to_owned()),
            "range" => self.range_vector = Some(parse_range_vector(detail)?),
            other => return failed(&format!("unknown expectation {other}")),
        }
        Ok(())
    }

    /// Whether the same values must come from a range query around the time.
    fn also_as_range(&self, query: &str) -> bool {
        let moves = ["start()", "end()", "range()", "step()"].iter().any(|moving| query.contains(moving));
        !(moves || self.fails || self.ordered || self.text.is_some() || self.range_vector.is_some())
    }

    fn check(
        &self,
        query: &str,
        time: EvalTime,
        result: Result<Result<QueryResult, String>, Outcome>,
    ) -> Result<(), Outcome> {
        let result = match (result?, self.fails) {
            (Err(error), true) => match &self.fail_text {
                Some(text) if *text != error => return failed(&format!("fails with {error:?}, not {text:?}")),
                _ => return Ok(()),
            },
            (Ok(result), true) => return failed(&format!("does not fail: {:?}", result.value)),
            (Err(error), false) => return failed(&error),
            (Ok(result), false) => result,
        };
        for (severity, wanted) in &self.annotations {
            let found = result.annotations.texts(*severity, query);
            let met = match wanted {
                Wanted::Some => !found.is_empty(),
                Wanted::None => found.is_empty(),
                Wanted::Text(text) => found.contains(text),
            };
            if !met {
                return failed(&format!("annotations {severity:?}: {found:?}"));
            }
        }
        self.check_value(time, result.value)
    }

    fn check_value(&self, time: EvalTime, value: Value) -> Result<(), Outcome> {
        let result = match (value, time) {
            (Value::String { text, .. }, _) => match self.text.as_ref() == Some(&text) {
                true => Ok(()),
                false => Err(format!("string {text:?}")),
            },
            (Value::Scalar(point), _) => match self.scalar {
                Some(wanted) if close(wanted, point.value) => Ok(()),
                _ => Err(format!("scalar {}, not {:?}", point.value, self.scalar)),
            },
            (Value::Vector(samples), _) => {
                let line =
                    |sample: Sample| SeriesLine { labels: sample.labels, values: vec![Some(stored(sample.value))] };
                let found: Vec<_> = samples.into_iter().map(line).collect();
                compare(&self.series, &found, self.ordered)
            }
            (Value::Matrix(series), EvalTime::Range { start, step_ms, .. }) => {
                compare(&self.series, &spread(&series, start.0, step_ms), false)
            }
            (Value::Matrix(series), EvalTime::Instant(_)) => match self.range_vector {
                Some((start, step)) => compare(&self.series, &spread(&series, start, step), false),
                None => Err("an unexpected range vector".into()),
            },
        };
        result.map_err(Outcome::Failed)
    }
}

fn stored(value: SampleValue) -> StoredValue {
    match value {
        SampleValue::Float(value) => StoredValue::Float(value),
        SampleValue::Histogram(histogram) => StoredValue::Histogram(histogram),
    }
}

/// Positions of samples by their times; a sample off the positions becomes one too many.
fn spread(series: &[RangeSeries], start: i64, step: i64) -> Vec<SeriesLine> {
    let one = |series: &RangeSeries| {
        let floats = series.floats.iter().map(|point| (point.timestamp, StoredValue::Float(point.value)));
        let histograms = series.histograms.iter();
        let histograms = histograms.map(|point| (point.timestamp, StoredValue::Histogram(point.histogram.clone())));
        let mut values = Vec::new();
        for (at, value) in floats.chain(histograms) {
            let offset = at.0 - start;
            match usize::try_from(offset / step) {
                Ok(index) if offset % step == 0 => {
                    values.resize(values.len().max(index + 1), None);
                    values[index] = Some(value);
                }
                _ => values.extend([Some(value), Some(StoredValue::Float(f64::NAN))]),
            }
        }
        SeriesLine { labels: series.labels.clone(), values }
    };
    series.iter().map(one).collect()
}

fn compare(wanted: &[SeriesLine], found: &[SeriesLine], ordered: bool) -> Result<(), String> {
    let matches = wanted.len() == found.len()
        && wanted.iter().enumerate().all(|(position, line)| {
            let mut candidates = found.iter().enumerate().filter(|(_, other)| other.labels == line.labels);
            candidates.any(|(index, other)| (!ordered || index == position) && same(&line.values, &other.values))
        });
    if matches {
        return Ok(());
    }
    let mut text = String::new();
    for (title, lines) in [("wanted", wanted), ("found", found)] {
        writeln!(text, "  {title}:").expect("a string takes everything");
        for line in lines {
            writeln!(text, "    {} {:?}", line.labels, line.values).expect("a string takes everything");
        }
    }
    Err(text)
}

fn same(left: &[Option<StoredValue>], right: &[Option<StoredValue>]) -> bool {
    let at = |values: &[Option<StoredValue>], index: usize| values.get(index).cloned().flatten();
    (0..left.len().max(right.len())).all(|index| match (at(left, index), at(right, index)) {
        (Some(StoredValue::Float(left)), Some(StoredValue::Float(right))) => close(left, right),
        (Some(StoredValue::Histogram(left)), Some(StoredValue::Histogram(right))) => {
            without_hint(&left) == without_hint(&right)
        }
        (None, None) => true,
        _ => false,
    })
}

/// Hints are compared only where a script gives them, which this interpreter does not tell.
fn without_hint(histogram: &NativeHistogram) -> NativeHistogram {
    NativeHistogram { reset_hint: ResetHint::Unknown, ..histogram.clone() }
}

/// Equality up to a millionth, as the script language defines it.
fn close(left: f64, right: f64) -> bool {
    if is_stale_nan(left) || is_stale_nan(right) {
        return is_stale_nan(left) && is_stale_nan(right);
    }
    if (left.is_nan() && right.is_nan()) || left == right {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

const EPSILON: f64 = 1e-6;

/// `instant at T QUERY` or `range from A to B step S QUERY`.
fn parse_query(text: &str) -> Result<(&str, EvalTime), Outcome> {
    let words: Vec<&str> = text.splitn(4, char::is_whitespace).collect();
    match words[..] {
        ["instant", "at", time, query] => Ok((query.trim(), EvalTime::Instant(TimestampMs(duration(time)?)))),
        ["range", "from", start, rest] => {
            let words: Vec<&str> = rest.trim().splitn(5, char::is_whitespace).collect();
            let ["to", end, "step", step, query] = words[..] else { return failed("not a range query") };
            let (start, end) = (TimestampMs(duration(start)?), TimestampMs(duration(end)?));
            Ok((query.trim(), EvalTime::Range { start, end, step_ms: duration(step)? }))
        }
        _ => failed("not a query"),
    }
}

/// `vector from A to B step S`.
fn parse_range_vector(text: &str) -> Result<(i64, i64), Outcome> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let ["vector", "from", start, "to", _, "step", step] = words[..] else { return failed("not a range vector") };
    Ok((duration(start)?, duration(step)?))
}

fn duration(text: &str) -> Result<i64, Outcome> {
    parse_duration_ms(text).map_err(|error| Outcome::Failed(error.to_string()))
}

fn failed<T>(what: &str) -> Result<T, Outcome> {
    Err(Outcome::Failed(what.to_owned()))
}

/// The value of a future that does not wait: the store is in memory.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}
