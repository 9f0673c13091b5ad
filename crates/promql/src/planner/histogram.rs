//! Estimates from histograms.

use promql_syntax::{Call, Expr};

use super::{Planned, Planner, value_label};
use crate::EvalError;
use crate::annotation::Place;
use crate::grid::Grid;
use crate::histogram_estimate::{Estimate, HistogramEstimate};
use crate::histogram_reader::HistogramParts;
use crate::plan::{HistogramPart, ScalarPlan, VectorPlan};

/// What the functions around a selector need of histograms.
#[derive(Clone, Copy, Default)]
pub(super) struct HistogramNeeds {
    /// Some of them take counts or sums only.
    statistics: bool,
    /// Some of them look into buckets, or would see resets differently without.
    buckets: bool,
}

impl Planner {
    /// What a selector planned now has to give.
    pub(super) fn histogram_parts(&self) -> HistogramParts {
        match self.histogram_needs {
            HistogramNeeds { statistics: true, buckets: false } => HistogramParts::Statistics,
            _ => HistogramParts::All,
        }
    }

    /// Plans what is inside a function or operator that looks into buckets.
    pub(super) fn needing_buckets<T>(&mut self, plan: impl FnOnce(&mut Self) -> T) -> T {
        self.with_needs(HistogramNeeds { buckets: true, ..self.histogram_needs }, plan)
    }

    fn with_needs<T>(&mut self, needs: HistogramNeeds, plan: impl FnOnce(&mut Self) -> T) -> T {
        let around = std::mem::replace(&mut self.histogram_needs, needs);
        let planned = plan(self);
        self.histogram_needs = around;
        planned
    }

    pub(super) fn histogram_part(
        &mut self,
        part: HistogramPart,
        input: &Expr,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let needs = match part {
            HistogramPart::Avg | HistogramPart::Count | HistogramPart::Sum => {
                HistogramNeeds { statistics: true, ..self.histogram_needs }
            }
            HistogramPart::StandardDeviation | HistogramPart::Variance => {
                HistogramNeeds { buckets: true, ..self.histogram_needs }
            }
        };
        let input = self.with_needs(needs, |planner| planner.vector(input, grid))?;
        Ok(input.map(|plan| VectorPlan::Histogram { part, input: Box::new(plan) }))
    }

    pub(super) fn histogram_quantile(
        &mut self,
        call: &Call,
        quantile: &Expr,
        input: &Expr,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        self.estimate(call, &[quantile], input, grid, |mut quantiles| Estimate::Quantiles {
            label: None,
            quantiles: quantiles.drain(..).map(|plan| (plan, place_of(quantile, call))).collect(),
        })
    }

    pub(super) fn histogram_quantiles(
        &mut self,
        call: &Call,
        input: &Expr,
        label: &Expr,
        quantiles: &[Expr],
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let label = value_label(label)?;
        let arguments: Vec<&Expr> = quantiles.iter().collect();
        self.estimate(call, &arguments, input, grid, |plans| Estimate::Quantiles {
            label: Some(label),
            quantiles: plans
                .into_iter()
                .zip(quantiles)
                .map(|(plan, quantile)| (plan, place_of(quantile, call)))
                .collect(),
        })
    }

    pub(super) fn histogram_fraction(
        &mut self,
        call: &Call,
        lower: &Expr,
        upper: &Expr,
        input: &Expr,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        self.estimate(call, &[lower, upper], input, grid, |bounds| {
            let [lower, upper] = <[_; 2]>::try_from(bounds).expect("there are two arguments");
            Estimate::Fraction { lower, upper }
        })
    }

    fn estimate(
        &mut self,
        call: &Call,
        arguments: &[&Expr],
        input: &Expr,
        grid: Grid,
        make: impl FnOnce(Vec<ScalarPlan>) -> Estimate<ScalarPlan>,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let arguments = arguments.iter().map(|argument| self.scalar(argument, grid)).collect::<Result<Vec<_>, _>>()?;
        let input_place = place_of(input, call);
        let input = self.needing_buckets(|planner| planner.vector(input, grid))?;
        let invariant = input.invariant && arguments.iter().all(|argument| argument.invariant);
        let arguments =
            arguments.into_iter().map(|argument| if invariant { argument.plan } else { argument.once() }).collect();
        let input = Box::new(if invariant { input.plan } else { input.once() });
        let plan = VectorPlan::HistogramEstimate(HistogramEstimate { estimate: make(arguments), input, input_place });
        Ok(Planned::new(plan, invariant))
    }
}

fn place_of(argument: &Expr, call: &Call) -> Place {
    Place::of(argument.without_parens().position(), call.position)
}
