//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`: estimates from classic and native histograms alike.
//!
//! Native histograms give their results as they stream by, buckets of classic ones are held until all are there. Where both
//! have the same labels at the same step there is no result, as nobody can say which one was meant.

use hashbrown::HashMap;
use model::Labels;

use crate::EvalError;
use crate::aggregate::warn_about_quantile;
use crate::annotation::Place;
use crate::classic_histogram::{self, Bucket, Mended};
use crate::column::{Cell, Column, Run, is_absent};
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::float_text::go_float;
use crate::grid::Grid;
use crate::histogram::{FloatHistogram, NanEffect};
use crate::label_set::LabelGuard;
use crate::monotonicity::MendedOverSteps;
use crate::plan::{ScalarPlan, VectorPlan};
use crate::row::{Context, Row, Sink, hold_column};

#[derive(Debug)]
pub(crate) struct HistogramEstimate {
    pub(crate) estimate: Estimate<ScalarPlan>,
    pub(crate) input: Box<VectorPlan>,
    pub(crate) input_place: Place,
}

/// What is estimated; arguments as plans, and then as values over all steps.
#[derive(Debug)]
pub(crate) enum Estimate<A> {
    Quantiles {
        /// The label to write the quantile into, when there are several.
        label: Option<String>,
        quantiles: Vec<(A, Place)>,
    },
    Fraction {
        lower: A,
        upper: A,
    },
}

impl Estimate<ScalarPlan> {
    fn evaluate(self, grid: Grid, context: &mut Context<'_>) -> Result<Estimate<Vec<f64>>, EvalError> {
        Ok(match self {
            Self::Quantiles { label, quantiles } => {
                let mut values = Vec::with_capacity(quantiles.len());
                for (quantile, place) in quantiles {
                    let quantile = evaluate_scalar(quantile, grid, context)?;
                    quantile.iter().for_each(|q| warn_about_quantile(context, place, *q));
                    values.push((quantile, place));
                }
                Estimate::Quantiles { label, quantiles: values }
            }
            Self::Fraction { lower, upper } => Estimate::Fraction {
                lower: evaluate_scalar(lower, grid, context)?,
                upper: evaluate_scalar(upper, grid, context)?,
            },
        })
    }
}

impl Estimate<Vec<f64>> {
    /// Arguments held over all steps.
    fn arguments(&self) -> usize {
        match self {
            Self::Quantiles { quantiles, .. } => quantiles.len(),
            Self::Fraction { .. } => 2,
        }
    }

    /// How many results a histogram has at each step.
    fn results(&self) -> usize {
        match self {
            Self::Quantiles { quantiles, .. } => quantiles.len(),
            Self::Fraction { .. } => 1,
        }
    }

    fn of_native(&self, result: usize, step: usize, histogram: &FloatHistogram) -> (f64, Option<&'static str>) {
        match self {
            Self::Quantiles { quantiles, .. } => {
                let quantile = histogram.quantile(quantiles[result].0[step]);
                let note = match quantile.nan_effect {
                    NanEffect::None => None,
                    NanEffect::Skewed => Some(NAN_SKEW),
                    NanEffect::Result => Some(NAN_RESULT),
                };
                (quantile.value, note)
            }
            Self::Fraction { lower, upper } => {
                let fraction = histogram.fraction(lower[step], upper[step]);
                (fraction.value, fraction.has_nan.then_some(NAN_EXCLUDED))
            }
        }
    }

    fn of_classic(&self, result: usize, step: usize, buckets: &mut [Bucket]) -> (f64, Option<Mended>) {
        match self {
            Self::Quantiles { quantiles, .. } => {
                let (value, mended) = classic_histogram::quantile(quantiles[result].0[step], buckets);
                // Buckets are mended for the first quantile that looks into them, and told once.
                let is_first = !quantiles[..result].iter().any(|(before, _)| (0.0..=1.0).contains(&before[step]));
                (value, mended.filter(|_| is_first))
            }
            Self::Fraction { lower, upper } => (classic_histogram::fraction(lower[step], upper[step], buckets), None),
        }
    }
}

impl HistogramEstimate {
    pub(crate) fn evaluate(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let Self { estimate, input, input_place } = self;
        let estimate = estimate.evaluate(grid, context)?;
        let mut histograms = Histograms::default();
        evaluate_vector(*input, grid, context, &mut |context, row| {
            if row.column.has_histograms() {
                histograms.add_native(&estimate, grid, &row, input_place, context)?;
                row.column.drop_histograms();
                if !row.column.any_present() {
                    return Ok(());
                }
            }
            histograms.add_bucket(&row, input_place, context)
        })?;
        histograms.drop_conflicts(grid, input_place, context);
        histograms.hand_on(&estimate, grid, input_place, context, sink)?;
        context.budget.release(histograms.held + estimate.arguments() * grid.steps);
        Ok(())
    }
}

#[derive(Default)]
struct Histograms {
    native: Vec<Native>,
    /// Buckets by histogram, in order of arrival.
    classic: Vec<Classic>,
    /// By all labels but `le`.
    classic_by_labels: HashMap<Labels, usize>,
    held: usize,
}

struct Native {
    labels: Labels,
    /// One run for each result.
    results: Vec<Option<Run>>,
}

struct Classic {
    labels: Labels,
    buckets: Vec<(f64, Run)>,
    /// Steps at which there is a native histogram as well.
    hidden: Vec<usize>,
}

impl Histograms {
    fn add_native(
        &mut self,
        estimate: &Estimate<Vec<f64>>,
        grid: Grid,
        row: &Row<'_>,
        place: Place,
        context: &mut Context<'_>,
    ) -> Result<(), EvalError> {
        let mut column = hold_column(context, grid)?;
        let mut results = Vec::with_capacity(estimate.results());
        for result in 0..estimate.results() {
            column.clear();
            for step in 0..grid.steps {
                let Some(histogram) = row.column.histogram(step) else { continue };
                let (value, note) = estimate.of_native(result, step, histogram);
                column.set(step, Cell::Float(value));
                if let Some(note) = note {
                    let of_metric = of_metric(&row.labels, context);
                    context.annotations.inform(place, format!("{note}{of_metric}"));
                }
            }
            let run = Run::of(&column);
            let held = run.as_ref().map_or(0, Run::len);
            context.budget.hold(held)?;
            self.held += held;
            results.push(run);
        }
        context.budget.release(grid.steps);
        self.native.push(Native { labels: row.labels.clone(), results });
        Ok(())
    }

    fn add_bucket(&mut self, row: &Row<'_>, place: Place, context: &mut Context<'_>) -> Result<(), EvalError> {
        let Some(run) = Run::of(row.column) else { return Ok(()) };
        let label = row.labels.get("le").unwrap_or("");
        let Some(bound) = label.parse::<f64>().ok().filter(|bound| !bound.is_nan()) else {
            let of_metric = of_metric(&row.labels, context);
            let text = format!("bucket label \"le\" is missing or has a malformed value of {label:?}{of_metric}");
            context.annotations.warn(place, text);
            return Ok(());
        };
        context.budget.hold(run.len())?;
        self.held += run.len();
        let classic = &mut self.classic;
        let key = row.labels.retain(|name, _| name != "le");
        let index = *self.classic_by_labels.entry(key).or_insert_with_key(|labels| {
            classic.push(Classic { labels: labels.clone(), buckets: Vec::new(), hidden: Vec::new() });
            classic.len() - 1
        });
        self.classic[index].buckets.push((bound, run));
        Ok(())
    }

    /// Drops what is there as a classic and a native histogram.
    fn drop_conflicts(&mut self, grid: Grid, place: Place, context: &mut Context<'_>) {
        if self.classic.is_empty() {
            return;
        }
        for native in &mut self.native {
            let Some(index) = self.classic_by_labels.get(&native.labels) else { continue };
            let classic = &mut self.classic[*index];
            let is_classic = |step| classic.buckets.iter().any(|(_, run)| !is_absent(run.float(step)));
            let is_native =
                |step| native.results.first().and_then(Option::as_ref).is_some_and(|run| !is_absent(run.float(step)));
            let both: Vec<usize> = (0..grid.steps).filter(|step| is_native(*step) && is_classic(*step)).collect();
            if both.is_empty() {
                continue;
            }
            let of_metric = of_metric(&native.labels, context);
            let text = format!("vector contains a mix of classic and native histograms{of_metric}");
            context.annotations.warn(place, text);
            for result in &mut native.results {
                let mut column = Column::absent(grid.steps);
                if let Some(run) = result {
                    run.overlay(&mut column);
                }
                both.iter().for_each(|step| column.remove(*step));
                *result = Run::of(&column);
            }
            classic.hidden = both;
        }
    }

    fn hand_on(
        &mut self,
        estimate: &Estimate<Vec<f64>>,
        grid: Grid,
        place: Place,
        context: &mut Context<'_>,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let mut column = hold_column(context, grid)?;
        let mut output = Output { guard: LabelGuard::of_samples(grid, context), sink };
        let mut buckets = Vec::new();
        for classic in &mut self.classic {
            classic.buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        }
        for result in 0..estimate.results() {
            for native in &self.native {
                column.clear();
                if let Some(run) = &native.results[result] {
                    run.overlay(&mut column);
                }
                output.push(estimate, result, &native.labels, &mut column, context)?;
            }
            for classic in &self.classic {
                context.check_interrupt()?;
                column.clear();
                for step in 0..grid.steps {
                    classic.at(step, &mut buckets);
                    if buckets.is_empty() {
                        continue;
                    }
                    let (value, mends) = estimate.of_classic(result, step, &mut buckets);
                    column.set(step, Cell::Float(value));
                    if let Some(mends) = mends {
                        let text = format!("{FORCED_MONOTONICITY}{}", of_metric(&classic.labels, context));
                        let mends = MendedOverSteps::at(mends, grid.time(step));
                        context.annotations.inform_of_mending(place, text, mends);
                    }
                }
                output.push(estimate, result, &classic.labels, &mut column, context)?;
            }
        }
        context.budget.release(grid.steps);
        Ok(())
    }
}

impl Classic {
    /// The buckets at one step, each bound once.
    fn at(&self, step: usize, buckets: &mut Vec<Bucket>) {
        buckets.clear();
        if self.hidden.binary_search(&step).is_ok() {
            return;
        }
        for (upper, run) in &self.buckets {
            let count = run.float(step);
            if is_absent(count) {
                continue;
            }
            match buckets.last_mut() {
                // Two spellings of one bound are one bucket.
                Some(last) if last.upper == *upper => last.count += count,
                _ => buckets.push(Bucket { upper: *upper, count }),
            }
        }
    }
}

struct Output<'s> {
    guard: LabelGuard,
    sink: Sink<'s>,
}

impl Output<'_> {
    fn push(
        &mut self,
        estimate: &Estimate<Vec<f64>>,
        result: usize,
        labels: &Labels,
        column: &mut Column,
        context: &mut Context<'_>,
    ) -> Result<(), EvalError> {
        let labels = context.computed_labels(labels);
        let Estimate::Quantiles { label: Some(label), quantiles } = estimate else {
            return self.push_row(labels, column, context);
        };
        let quantiles = &quantiles[result].0;
        if quantiles.iter().all(|q| q.to_bits() == quantiles[0].to_bits()) {
            return self.push_row(with_quantile(&labels, label, quantiles[0]), column, context);
        }
        // A quantile that changes from step to step makes a series of each.
        let whole = column.clone();
        let mut given: Vec<u64> = Vec::new();
        for q in quantiles {
            if given.contains(&q.to_bits()) {
                continue;
            }
            given.push(q.to_bits());
            column.clear();
            for step in whole.present().filter(|step| quantiles[*step].to_bits() == q.to_bits()) {
                column.set(step, Cell::Float(whole.floats()[step]));
            }
            self.push_row(with_quantile(&labels, label, *q), column, context)?;
        }
        Ok(())
    }

    fn push_row(&mut self, labels: Labels, column: &mut Column, context: &mut Context<'_>) -> Result<(), EvalError> {
        if !column.any_present() {
            return Ok(());
        }
        self.guard.once_a_step(&labels, column)?;
        (self.sink)(context, Row { labels, drop_name: true, column })
    }
}

fn with_quantile(labels: &Labels, label: &str, q: f64) -> Labels {
    let text = go_float(q);
    // As in the exposition format: whole numbers keep a fraction.
    let is_plain = q.is_finite() && !text.contains(['.', 'e']);
    let mut builder = labels.to_builder();
    builder.set(label, &if is_plain { format!("{text}.0") } else { text });
    builder.build().expect("`set` leaves no name twice, and the planner checked the name")
}

/// ` for metric name "…"`, as far as the name is still there.
fn of_metric(labels: &Labels, context: &Context<'_>) -> String {
    match labels.metric_name() {
        name if context.delayed_name_removal && !name.is_empty() => format!(" for metric name {name:?}"),
        _ => String::new(),
    }
}

const FORCED_MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
const NAN_RESULT: &str = "input to histogram_quantile has NaN observations, result is NaN";
const NAN_SKEW: &str = "input to histogram_quantile has NaN observations, result is skewed higher";
const NAN_EXCLUDED: &str = "input to histogram_fraction has NaN observations, which are excluded from all fractions";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_as_labels() {
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        for (q, text) in [(1.0, "1.0"), (0.25, "0.25"), (1e-9, "1e-09"), (f64::NAN, "NaN"), (f64::INFINITY, "+Inf")] {
            assert_eq!(with_quantile(&labels, "q", q).get("q"), Some(text));
        }
    }
}
