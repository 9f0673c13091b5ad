//! Selectors that are `anchored` or `smoothed`.

use promql_syntax::{Expr, ExtendedRange, MatrixSelector, VectorSelector};

use super::{Planned, Planner, is_one_metric};
use crate::EvalError;
use crate::extended_range::Reach;
use crate::grid::Grid;
use crate::plan::{InstantSelector, SmoothedSelector, VectorPlan, needed_range};

impl Planner {
    /// Refuses ranges with samples beyond their ends to functions that would take those for samples inside.
    pub(super) fn check_extended(&mut self, function: &str, range: &Expr) {
        let Expr::Matrix(MatrixSelector { selector: VectorSelector { extended: Some(extended), .. }, .. }) =
            range.without_parens()
        else {
            return;
        };
        let allowed = match extended {
            ExtendedRange::Anchored => ANCHORED,
            ExtendedRange::Smoothed => SMOOTHED,
        };
        if !allowed.contains(&function) {
            let (modifier, allowed) = (extended.as_str(), allowed.join(", "));
            self.refuse(format!("{modifier} modifier can only be used with: {allowed} - not with {function}"));
        }
    }

    pub(super) fn smoothed(&mut self, selector: &VectorSelector, grid: Grid) -> Result<Planned<VectorPlan>, EvalError> {
        let look = self.selector_look(selector)?;
        let reach = Reach::of(selector.extended, self.lookback_ms);
        let selection = self.select(selector, reach.around(needed_range(look, 0, grid)));
        let plan = SmoothedSelector {
            selector: InstantSelector {
                selection,
                look,
                one_metric: is_one_metric(&selector.matchers),
                histogram_parts: self.histogram_parts(),
            },
            position: selector.position,
        };
        Ok(Planned::new(VectorPlan::Smooth(plan), look.at.is_some()))
    }
}

/// Functions of ranges that begin with the last sample before them.
const ANCHORED: &[&str] = &["changes", "delta", "increase", "rate", "resets"];

/// Functions of ranges whose ends lie between samples.
const SMOOTHED: &[&str] = &["delta", "increase", "rate"];
