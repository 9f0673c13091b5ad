//! `info`: adds labels of series of information (`target_info` and the like) to series that agree with them in `instance`
//! and `job`.
//!
//! The input streams past the series of information, which are held by their identifying labels. Of those that someone
//! asks for, samples are unpacked once, to see which series tells the latest at each step: a target that restarts with
//! another version has one after the other.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::{Labels, LabelsBuilder, METRIC_NAME, Matcher};
use storage::SampleIterator;

use crate::EvalError;
use crate::column::{Column, StepSet, is_absent};
use crate::evaluate::evaluate_vector;
use crate::grid::Grid;
use crate::histogram_reader::HistogramParts;
use crate::label_set::{LabelGuard, in_braces};
use crate::plan::{InstantSelector, VectorPlan};
use crate::row::{Context, Row, Sink, hold_column};
use crate::selector::{Cursor, Gives};

#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) input: Box<VectorPlan>,
    /// Selects the series of information.
    pub(crate) selector: InstantSelector,
    /// What their metric's name must meet. Series of the input that meet it are information themselves: they pass.
    pub(crate) names: Vec<Matcher>,
    /// What their other labels must meet. If there is any, only those labels are added.
    pub(crate) data: Vec<Matcher>,
}

impl Info {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let mut targets = Targets::select(&self.selector, context)?;
        let mut seen = StepSet::empty(grid.steps);
        let mut result = hold_column(context, grid)?;
        let mut guard = LabelGuard::default();
        let Self { input, selector, names, data } = self;
        evaluate_vector(*input, grid, context, &mut |context, row| {
            let present = StepSet::present_in(row.column);
            seen.insert_all(&present);
            if names.iter().all(|matcher| matcher.matches(row.labels.metric_name())) {
                guard.once_a_step(&row.labels, row.column)?;
                return sink(context, row);
            }
            let metrics = targets.resolve(&row.labels, &selector, grid, context)?;
            let parts = split(&row, metrics, &data)?;
            for (index, labels) in parts.labels.into_iter().enumerate() {
                let Some(labels) = labels else { continue };
                result.clear();
                for step in (0..grid.steps).filter(|step| parts.of_step[*step] == Some(index)) {
                    if let Some(cell) = row.column.cell(step) {
                        result.set(step, cell);
                    }
                }
                guard.once_a_step(&labels, &result)?;
                sink(context, Row { labels, drop_name: row.drop_name, column: &mut result })?;
            }
            Ok(())
        })?;
        // Only where there is anything to enrich.
        if let Some(error) =
            targets.conflicts.into_iter().find_map(|(step, error)| seen.contains(step).then_some(error))
        {
            return Err(error);
        }
        context.budget.release(targets.held + grid.steps);
        Ok(())
    }
}

/// All series of information, by the labels that identify a target.
#[derive(Default)]
struct Targets {
    metrics: HashMap<Labels, Vec<Metric>>,
    /// Steps at which two series of one metric and target tell equally late, with the error to answer.
    conflicts: BTreeMap<usize, EvalError>,
    held: usize,
}

/// The series of one metric about one target.
struct Metric {
    name: String,
    series: Vec<Labels>,
    /// Of each series, until someone asked for this target.
    samples: Vec<Box<dyn SampleIterator>>,
    /// Which series tells the latest at each step.
    latest: Vec<Option<usize>>,
}

impl Targets {
    fn select(selector: &InstantSelector, context: &mut Context<'_>) -> Result<Self, EvalError> {
        let mut targets = Self::default();
        let mut selected = context.take_selected(selector.selection);
        while let Some(series) = selected.next()? {
            context.check_interrupt()?;
            let key = identity(&series.labels);
            if key.is_empty() {
                continue;
            }
            context.budget.hold(1)?;
            targets.held += 1;
            let name = series.labels.metric_name();
            let metrics = targets.metrics.entry(key).or_default();
            let place = metrics.iter().position(|metric| metric.name == name).unwrap_or_else(|| {
                let (series, samples, latest) = (Vec::new(), Vec::new(), Vec::new());
                metrics.push(Metric { name: name.to_owned(), series, samples, latest });
                metrics.len() - 1
            });
            metrics[place].series.push(series.labels);
            metrics[place].samples.push(series.samples);
        }
        Ok(targets)
    }

    /// What is known of the target of a series, at each step.
    fn resolve(
        &mut self,
        labels: &Labels,
        selector: &InstantSelector,
        grid: Grid,
        context: &mut Context<'_>,
    ) -> Result<&[Metric], EvalError> {
        let Some(metrics) = self.metrics.get_mut(&identity(labels)) else { return Ok(&[]) };
        for metric in metrics.iter_mut().filter(|metric| metric.latest.is_empty()) {
            context.budget.hold(grid.steps)?;
            self.held += grid.steps;
            metric.resolve(selector, grid, context, &mut self.conflicts)?;
        }
        Ok(metrics)
    }
}

impl Metric {
    fn resolve(
        &mut self,
        selector: &InstantSelector,
        grid: Grid,
        context: &mut Context<'_>,
        conflicts: &mut BTreeMap<usize, EvalError>,
    ) -> Result<(), EvalError> {
        self.latest = vec![None; grid.steps];
        let (mut times, mut latest_times) = (Column::absent(grid.steps), vec![f64::NAN; grid.steps]);
        let mut cursor = Cursor::new(HistogramParts::All, context.lookback_ms);
        for (index, mut samples) in std::mem::take(&mut self.samples).into_iter().enumerate() {
            context.check_interrupt()?;
            times.clear();
            cursor.reset();
            let lookback_ms = context.lookback_ms;
            selector.fill(Gives::TimeOfFloat, grid, lookback_ms, samples.as_mut(), &mut cursor, &mut times)?;
            if times.has_histograms() {
                let series = in_braces(&self.series[index]);
                let text = format!("this should be an info metric, with float samples: {series}");
                return Err(EvalError::Execution(text));
            }
            for (step, time) in times.floats().iter().enumerate().filter(|(_, time)| !is_absent(**time)) {
                match self.latest[step] {
                    Some(other) if latest_times[step] == *time => {
                        conflicts.entry(step).or_insert_with(|| {
                            let (existing, new) = (in_braces(&self.series[other]), in_braces(&self.series[index]));
                            EvalError::Execution(format!(
                                "found duplicate series for info metric: existing {existing} @ {time}, new {new} @ {time}"
                            ))
                        });
                    }
                    Some(_) if latest_times[step] > *time => {}
                    _ => (self.latest[step], latest_times[step]) = (Some(index), *time),
                }
            }
        }
        Ok(())
    }
}

/// A series of the input, apart by what is known of its target at each step.
struct Parts {
    /// The labels of each part; absent if the conditions on data labels are not met.
    labels: Vec<Option<Labels>>,
    of_step: Vec<Option<usize>>,
}

fn split(row: &Row<'_>, metrics: &[Metric], data: &[Matcher]) -> Result<Parts, EvalError> {
    let mut parts = Parts { labels: Vec::new(), of_step: vec![None; row.column.steps()] };
    let mut by_sources: HashMap<Vec<Option<usize>>, usize> = HashMap::new();
    let mut last: Option<(usize, usize)> = None;
    for step in row.column.present() {
        // Mostly it is what it was.
        let part = match last {
            Some((before, part)) if metrics.iter().all(|metric| metric.latest[before] == metric.latest[step]) => part,
            _ => {
                let sources: Vec<Option<usize>> = metrics.iter().map(|metric| metric.latest[step]).collect();
                match by_sources.get(&sources) {
                    Some(part) => *part,
                    None => {
                        let infos = metrics
                            .iter()
                            .zip(&sources)
                            .filter_map(|(metric, source)| source.map(|source| &metric.series[source]));
                        parts.labels.push(enriched(&row.labels, infos, data)?);
                        by_sources.insert(sources, parts.labels.len() - 1);
                        parts.labels.len() - 1
                    }
                }
            }
        };
        last = Some((step, part));
        parts.of_step[step] = Some(part);
    }
    Ok(parts)
}

/// The labels of a series together with those that `infos` add. `None` when nothing is known, but the conditions ask for
/// something.
fn enriched<'l>(
    base: &Labels,
    infos: impl Iterator<Item = &'l Labels>,
    data: &[Matcher],
) -> Result<Option<Labels>, EvalError> {
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    let mut any = false;
    for info in infos {
        any = true;
        let wanted = |name: &str| data.is_empty() || data.iter().any(|matcher| matcher.name() == name);
        for (name, value) in info.iter().filter(|(name, _)| *name != METRIC_NAME && wanted(name)) {
            if base.get(name).is_some() {
                continue;
            }
            if added.insert(name, value).is_some_and(|before| before != value) {
                return Err(EvalError::Execution(format!("conflicting label: {name}")));
            }
        }
    }
    if !any && !data.iter().all(Matcher::matches_empty) {
        return Ok(None);
    }
    if added.is_empty() {
        return Ok(Some(base.clone()));
    }
    let mut builder: LabelsBuilder = base.to_builder();
    added.iter().for_each(|(name, value)| builder.push(name, value));
    Ok(Some(builder.build().expect("labels of the base are not added again, and each other one once")))
}

fn identity(labels: &Labels) -> Labels {
    labels.retain(|name, _| IDENTIFYING.contains(&name))
}

/// The labels that identify a target.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

#[cfg(test)]
mod tests {
    use model::MatchOp;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn labels_are_added_not_replaced() {
        let base = labels(&[("__name__", "up"), ("job", "j"), ("zone", "own")]);
        let first = labels(&[("__name__", "target_info"), ("job", "j"), ("version", "1"), ("zone", "other")]);
        let second = labels(&[("__name__", "build_info"), ("job", "j"), ("go", "1.25"), ("version", "1")]);
        let clashing = labels(&[("__name__", "build_info"), ("version", "2")]);
        let only_go = [Matcher::new(MatchOp::Regex, "go", ".+").unwrap()];

        let both = enriched(&base, [&first, &second].into_iter(), &[]).unwrap().unwrap();
        let expected = labels(&[("__name__", "up"), ("job", "j"), ("zone", "own"), ("version", "1"), ("go", "1.25")]);
        assert_eq!(both, expected);
        let one = enriched(&base, [&first, &second].into_iter(), &only_go).unwrap().unwrap();
        assert_eq!(one.get("version"), None);
        assert_eq!(one.get("go"), Some("1.25"));
        let error = enriched(&base, [&first, &clashing].into_iter(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "conflicting label: version");
        assert_eq!(enriched(&base, std::iter::empty(), &[]).unwrap(), Some(base.clone()));
        assert_eq!(enriched(&base, std::iter::empty(), &only_go).unwrap(), None);
    }
}
