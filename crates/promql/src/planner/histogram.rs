//! Estimates from histograms.

use promql_syntax::Expr;

use super::{Planned, Planner, value_label};
use crate::EvalError;
use crate::grid::Grid;
use crate::histogram_estimate::{Estimate, HistogramEstimate};
use crate::plan::{ScalarPlan, VectorPlan};

impl Planner {
    pub(super) fn histogram_quantile(
        &mut self,
        quantile: &Expr,
        input: &Expr,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        self.estimate(&[quantile], input, grid, |mut quantiles| Estimate::Quantiles {
            label: None,
            quantiles: quantiles.drain(..).map(|plan| (plan, quantile.position())).collect(),
        })
    }

    pub(super) fn histogram_quantiles(
        &mut self,
        input: &Expr,
        label: &Expr,
        quantiles: &[Expr],
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let label = value_label(label)?;
        let arguments: Vec<&Expr> = quantiles.iter().collect();
        self.estimate(&arguments, input, grid, |plans| Estimate::Quantiles {
            label: Some(label),
            quantiles: plans.into_iter().zip(quantiles).map(|(plan, quantile)| (plan, quantile.position())).collect(),
        })
    }

    pub(super) fn histogram_fraction(
        &mut self,
        lower: &Expr,
        upper: &Expr,
        input: &Expr,
        grid: Grid,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        self.estimate(&[lower, upper], input, grid, |bounds| {
            let [lower, upper] = <[_; 2]>::try_from(bounds).expect("there are two arguments");
            Estimate::Fraction { lower, upper }
        })
    }

    fn estimate(
        &mut self,
        arguments: &[&Expr],
        input: &Expr,
        grid: Grid,
        make: impl FnOnce(Vec<ScalarPlan>) -> Estimate<ScalarPlan>,
    ) -> Result<Planned<VectorPlan>, EvalError> {
        let arguments = arguments.iter().map(|argument| self.scalar(argument, grid)).collect::<Result<Vec<_>, _>>()?;
        let input_position = input.position();
        let input = self.vector(input, grid)?;
        let invariant = input.invariant && arguments.iter().all(|argument| argument.invariant);
        let arguments =
            arguments.into_iter().map(|argument| if invariant { argument.plan } else { argument.once() }).collect();
        let input = Box::new(if invariant { input.plan } else { input.once() });
        let plan =
            VectorPlan::HistogramEstimate(HistogramEstimate { estimate: make(arguments), input, input_position });
        Ok(Planned::new(plan, invariant))
    }
}
