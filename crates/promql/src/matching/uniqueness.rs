//! The guard against two results of one label set at one step.

use hashbrown::HashMap;
use model::Labels;

use crate::EvalError;
use crate::column::StepSet;

/// Where each label set came from, and at which steps.
#[derive(Default)]
pub(super) struct Uniqueness {
    seen: HashMap<Labels, Vec<Part>>,
}

/// What one match group gave of a label set.
struct Part {
    group: usize,
    /// Steps at which elements met.
    met: StepSet,
    /// Steps at which that gave a result; absent: at all of them.
    kept: Option<StepSet>,
}

impl Part {
    fn kept(&self) -> &StepSet {
        self.kept.as_ref().unwrap_or(&self.met)
    }
}

impl Uniqueness {
    /// Takes note of results. Those of one group are there to be told apart by their labels even where a comparison
    /// filters them out; those of different groups only collide where both are there.
    pub(super) fn check(
        &mut self,
        labels: &Labels,
        group: usize,
        met: StepSet,
        kept: Option<StepSet>,
    ) -> Result<(), EvalError> {
        let added = Part { group, met, kept };
        let parts = self.seen.entry(labels.clone()).or_default();
        for part in parts.iter() {
            if part.group == group && part.met.overlaps(&added.met) {
                return Err(EvalError::Execution(
                    "multiple matches for labels: grouping labels must ensure unique matches".into(),
                ));
            }
            if part.kept().overlaps(added.kept()) {
                return Err(EvalError::same_labelset());
            }
        }
        parts.push(added);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(steps: &[usize]) -> StepSet {
        let mut set = StepSet::empty(8);
        steps.iter().for_each(|step| {
            set.insert(*step);
        });
        set
    }

    #[test]
    fn tells_apart_what_collides() {
        let labels = Labels::from_pairs([("a", "b")]).unwrap();
        let mut results = Uniqueness::default();
        results.check(&labels, 0, steps(&[0, 1]), Some(steps(&[0]))).unwrap();
        results.check(&labels, 0, steps(&[2]), None).unwrap();
        results.check(&labels, 1, steps(&[1]), None).unwrap();
        results.check(&Labels::empty(), 1, steps(&[0]), None).unwrap();
        let within = results.check(&labels, 0, steps(&[1]), Some(steps(&[]))).unwrap_err();
        assert!(within.to_string().starts_with("multiple matches for labels: grouping"), "{within}");
        let between = results.check(&labels, 2, steps(&[0, 5]), None).unwrap_err();
        assert!(between.to_string().contains("same labelset"), "{between}");
    }
}
