//! Label sets as operators see them: parts of them, and the guard against two equal ones.

use std::fmt::Write as _;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::{Labels, METRIC_NAME};

use crate::EvalError;
use crate::column::{Column, StepSet};
use crate::grid::Grid;
use crate::row::Context;

/// Names in order, for quick looking up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct LabelNames(Vec<String>);

impl LabelNames {
    pub(crate) fn new(names: &[String]) -> Self {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|other| other.as_str().cmp(name)).is_ok()
    }

    pub(crate) fn with(mut self, name: &str) -> Self {
        if let Err(index) = self.0.binary_search_by(|other| other.as_str().cmp(name)) {
            self.0.insert(index, name.to_owned());
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// Labels that go together with the metric's name.
pub(crate) const METADATA_BESIDE_NAME: [&str; 2] = ["__type__", "__unit__"];

/// Whether the label says what a metric is: it goes when a value is computed that is no longer this metric.
pub(crate) fn is_metadata(name: &str) -> bool {
    name == METRIC_NAME || METADATA_BESIDE_NAME.contains(&name)
}

/// Without the metric's name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    match labels.iter().any(|(name, _)| is_metadata(name)) {
        true => labels.retain(|name, _| !is_metadata(name)),
        false => labels.clone(),
    }
}

/// Labels of computed values, remembered from one series to the next: those that are looked at are often the same.
#[derive(Debug, Default)]
pub(crate) struct ComputedLabels {
    last: Option<(Labels, Labels)>,
}

impl ComputedLabels {
    /// The labels of a value computed of a sample with these.
    pub(crate) fn of(&mut self, labels: Labels, context: &Context<'_>) -> Labels {
        match &self.last {
            Some((before, computed)) if *before == labels => computed.clone(),
            _ => {
                let computed = context.computed_labels(&labels);
                self.last = Some((labels, computed.clone()));
                computed
            }
        }
    }
}

/// All labels in braces, the metric's name as one of them: how error texts print a series.
pub(crate) fn in_braces(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(text, "{separator}{name}={value:?}").expect("writing to a string cannot fail");
    }
    text.push('}');
    text
}

/// Finds label sets that an operator has made equal.
#[derive(Debug, Default)]
pub(crate) struct LabelGuard {
    seen: HashMap<Labels, StepSet>,
    /// Anything may pass.
    open: bool,
}

impl LabelGuard {
    /// For operators on samples. As upstream has it, equal label sets pass them at an instant when names stay until the
    /// query ends: the answer alone is looked at then.
    pub(crate) fn of_samples(grid: Grid, context: &Context<'_>) -> Self {
        Self { open: context.delayed_name_removal && grid.is_instant(), ..Self::default() }
    }

    /// For what needs whole series: no label set twice.
    pub(crate) fn once(&mut self, labels: &Labels) -> Result<(), EvalError> {
        match self.seen.insert(labels.clone(), StepSet::empty(0)) {
            Some(_) => Err(EvalError::same_labelset()),
            None => Ok(()),
        }
    }

    /// For operators on samples: a label set may come in several parts, but once at a step.
    pub(crate) fn once_a_step(&mut self, labels: &Labels, column: &Column) -> Result<(), EvalError> {
        if self.open {
            return Ok(());
        }
        let steps = StepSet::present_in(column);
        match self.seen.entry(labels.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(steps);
                Ok(())
            }
            Entry::Occupied(mut entry) => match entry.get_mut().insert_all(&steps) {
                true => Ok(()),
                false => Err(EvalError::same_labelset()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Cell;

    #[test]
    fn guard_lets_parts_pass_and_stops_overlaps() {
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        let (mut early, mut late) = (Column::absent(4), Column::absent(4));
        early.set(0, Cell::Float(1.0));
        late.set(2, Cell::Float(1.0));
        let mut guard = LabelGuard::default();
        guard.once_a_step(&labels, &early).unwrap();
        guard.once_a_step(&labels, &late).unwrap();
        guard.once_a_step(&labels, &early).unwrap_err();
        guard.once(&labels).unwrap_err();
    }

    #[test]
    fn metadata_goes_together() {
        let labels =
            Labels::from_pairs([("__name__", "x"), ("__type__", "gauge"), ("__unit__", "s"), ("a", "b\"")]).unwrap();
        assert_eq!(in_braces(&without_metadata(&labels)), r#"{a="b\""}"#);
        assert_eq!(in_braces(&labels.retain(|name, _| name < "__t")), r#"{__name__="x"}"#);
    }
}
