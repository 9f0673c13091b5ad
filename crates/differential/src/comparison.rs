//! Whether two answers are the same.

use std::collections::BTreeMap;
use std::slice::from_ref;

use crate::answer::{Answer, Histogram, Point, PointValue, Series, Value};

/// What counts as the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rules {
    /// Floats may differ by this part of the smaller one.
    pub fraction: f64,
    /// Floats may differ by this much, whatever they are.
    pub margin: f64,
    /// Annotations and texts of errors are compared too.
    pub texts: bool,
    /// Values of a vector must come in the same order.
    pub ordered: bool,
}

impl Rules {
    /// Those of the public compliance tester.
    pub const COMPLIANCE: Self = Self { fraction: 1e-5, margin: 0.0, texts: false, ordered: false };

    fn same(&self, left: f64, right: f64) -> bool {
        if left == right || left.is_nan() && right.is_nan() {
            return true;
        }
        let distance = (left - right).abs();
        distance.is_finite() && distance <= (self.fraction * left.abs().min(right.abs())).max(self.margin)
    }

    /// The first thing in which `ours` is not `theirs`.
    ///
    /// # Errors
    /// Where and how they differ.
    pub fn compare(&self, theirs: &Answer, ours: &Answer) -> Result<(), Difference> {
        match (theirs, ours) {
            (Answer::Error { .. }, Answer::Error { kind, .. }) if kind == "panic" => {
                Err(Difference::new("ours panics".to_owned()))
            }
            (Answer::Error { kind, text }, Answer::Error { kind: our_kind, text: our_text }) => {
                if self.texts && (kind != our_kind || !same_reason(text, our_text)) {
                    return Err(Difference::new(format!("fails with {kind}: {text:?}, not {our_kind}: {our_text:?}")));
                }
                Ok(())
            }
            (Answer::Error { kind, text }, Answer::Value { .. }) => {
                Err(Difference::new(format!("the peer fails with {kind}: {text:?}, ours does not")))
            }
            (Answer::Value { .. }, Answer::Error { kind, text }) => {
                Err(Difference::new(format!("ours fails with {kind}: {text:?}, the peer does not")))
            }
            (
                Answer::Value { value, warnings, infos },
                Answer::Value { value: our_value, warnings: our_warnings, infos: our_infos },
            ) => {
                self.compare_values(value, our_value)?;
                let remarks = [("warnings", warnings, our_warnings), ("infos", infos, our_infos)];
                for (what, theirs, ours) in remarks.into_iter().filter(|_| self.texts) {
                    if !same_remarks(theirs, ours) {
                        return Err(Difference::new(format!("{what}: {theirs:?}, not {ours:?}")));
                    }
                }
                Ok(())
            }
        }
    }

    fn compare_values(&self, theirs: &Value, ours: &Value) -> Result<(), Difference> {
        match (theirs, ours) {
            (Value::Scalar(theirs), Value::Scalar(ours)) => self.compare_points(from_ref(theirs), from_ref(ours)),
            (Value::Text(at, text), Value::Text(our_at, our_text)) if at == our_at && text == our_text => Ok(()),
            (Value::Vector(theirs), Value::Vector(ours)) => {
                self.compare_series(theirs, ours)?;
                if self.ordered {
                    let points = |series: &[Series]| -> Vec<Point> {
                        series.iter().flat_map(|series| series.points.clone()).collect()
                    };
                    self.compare_points(&points(theirs), &points(ours)).map_err(|found| found.inside("by order"))?;
                }
                Ok(())
            }
            (Value::Matrix(theirs), Value::Matrix(ours)) => self.compare_series(theirs, ours),
            _ => Err(Difference::new(format!("{theirs:?}, not {ours:?}"))),
        }
    }

    fn compare_series(&self, theirs: &[Series], ours: &[Series]) -> Result<(), Difference> {
        let (theirs, ours) = (by_labels(theirs)?, by_labels(ours)?);
        for labels in theirs.keys() {
            if !ours.contains_key(labels) {
                let at = theirs[labels].first().map(|point| point.at);
                let what = format!(
                    "ours lacks {} of {} series, such as {}",
                    missing(&theirs, &ours),
                    theirs.len(),
                    text(labels)
                );
                return Err(Difference { what, at });
            }
        }
        for labels in ours.keys() {
            if !theirs.contains_key(labels) {
                let at = ours[labels].first().map(|point| point.at);
                let what = format!("ours has {} series too many, such as {}", missing(&ours, &theirs), text(labels));
                return Err(Difference { what, at });
            }
        }
        for (labels, points) in &theirs {
            self.compare_points(points, ours[labels]).map_err(|found| found.inside(&text(labels)))?;
        }
        Ok(())
    }

    fn compare_points(&self, theirs: &[Point], ours: &[Point]) -> Result<(), Difference> {
        let (mut rest, mut our_rest) = (theirs.iter().peekable(), ours.iter().peekable());
        loop {
            match (rest.next(), our_rest.next()) {
                (None, None) => return Ok(()),
                (Some(theirs), Some(ours)) if theirs.at == ours.at => {
                    if !self.same_value(&theirs.value, &ours.value) {
                        return Err(Difference::at(theirs.at, format!("{:?}, not {:?}", theirs.value, ours.value)));
                    }
                }
                (Some(theirs), ours) if ours.is_none_or(|ours| ours.at > theirs.at) => {
                    return Err(Difference::at(theirs.at, format!("ours lacks {:?}", theirs.value)));
                }
                (_, Some(ours)) => {
                    return Err(Difference::at(ours.at, format!("ours has {:?}, the peer nothing", ours.value)));
                }
                (Some(_), None) => unreachable!("the arm before takes every point without counterpart"),
            }
        }
    }

    fn same_value(&self, theirs: &PointValue, ours: &PointValue) -> bool {
        match (theirs, ours) {
            (PointValue::Float(theirs), PointValue::Float(ours)) => self.same(*theirs, *ours),
            (PointValue::Histogram(theirs), PointValue::Histogram(ours)) => self.same_histogram(theirs, ours),
            _ => false,
        }
    }

    fn same_histogram(&self, theirs: &Histogram, ours: &Histogram) -> bool {
        self.same(theirs.count, ours.count)
            && self.same(theirs.sum, ours.sum)
            && theirs.buckets.len() == ours.buckets.len()
            && theirs.buckets.iter().zip(&ours.buckets).all(|(theirs, ours)| {
                theirs.bounds == ours.bounds
                    && self.same(theirs.lower, ours.lower)
                    && self.same(theirs.upper, ours.upper)
                    && self.same(theirs.count, ours.count)
            })
    }
}

/// Where two answers differ.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// How: the peer's first.
    pub what: String,
    /// At which time, where it is about one.
    pub at: Option<i64>,
}

impl Difference {
    fn new(what: String) -> Self {
        Self { what, at: None }
    }

    fn at(at: i64, what: String) -> Self {
        Self { what: format!("at {}: {what}", at as f64 / 1000.0), at: Some(at) }
    }

    fn inside(self, place: &str) -> Self {
        Self { what: format!("{place} {}", self.what), ..self }
    }
}

type ByLabels<'a> = BTreeMap<&'a BTreeMap<String, String>, &'a [Point]>;

fn by_labels(series: &[Series]) -> Result<ByLabels<'_>, Difference> {
    let mut found = BTreeMap::new();
    for series in series {
        if found.insert(&series.labels, series.points.as_slice()).is_some() {
            return Err(Difference::new(format!("{} comes twice", text(&series.labels))));
        }
    }
    Ok(found)
}

fn missing(all: &ByLabels<'_>, among: &ByLabels<'_>) -> usize {
    all.keys().filter(|labels| !among.contains_key(*labels)).count()
}

fn text(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Which of several wrong groups is named first is not said; so what stands in braces does not count.
fn same_reason(theirs: &str, ours: &str) -> bool {
    without_braces(theirs) == without_braces(ours)
}

/// At most ten are shown by the peer, then a line that says how many more there are: then only that there are many counts.
fn same_remarks(theirs: &[String], ours: &[String]) -> bool {
    match theirs.iter().any(|text| text.contains("omitted")) {
        true => ours.len() >= theirs.len() - 1,
        false => theirs.len() == ours.len() && theirs.iter().all(|text| ours.iter().any(|our| same_remark(text, our))),
    }
}

/// What the peer says of mended buckets it adds to itself at each step, so that it counts too many samples.
fn same_remark(theirs: &str, ours: &str) -> bool {
    let counted = |text: &str| {
        let (before, rest) = text.split_once(", over ")?;
        let (samples, after) = rest.split_once(" samples from ")?;
        Some((samples.parse::<i64>().ok()?, format!("{before}{after}")))
    };
    match (counted(theirs), counted(ours)) {
        // So many that the number overflows.
        (Some((samples, text)), Some((our_samples, our_text))) => {
            text == our_text && (samples >= our_samples || samples <= 0)
        }
        _ => theirs == ours || without_metric(theirs).is_some_and(|text| Some(text) == without_metric(ours)),
    }
}

/// Of two metrics that do not go together, the peer names the one that it meets last, in no order.
fn without_metric(text: &str) -> Option<&str> {
    let (text, _metric) = text.split_once(" for metric name ")?;
    text.ends_with("mix of histograms with exponential and custom buckets schemas").then_some(text)
}

fn without_braces(text: &str) -> String {
    let mut depth = 0;
    let kept = text.chars().filter(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => return depth == 0,
        }
        false
    });
    kept.collect()
}

#[cfg(test)]
mod tests;
