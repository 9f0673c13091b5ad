//! `limitk` and `limit_ratio`: a sample of the elements of each group, whatever their values.

use model::Labels;
use promql_syntax::AggregateOp;
use xxhash_rust::xxh64::xxh64;

use crate::EvalError;
use crate::aggregate::Groups;
use crate::annotation::Place;
use crate::evaluate::{evaluate_scalar, evaluate_vector};
use crate::float_text::go_float;
use crate::grid::Grid;
use crate::plan::{Aggregate, AggregateParameter};
use crate::ranking::wanted;
use crate::row::{Context, Sink};

impl Aggregate {
    pub(crate) fn evaluate_limit(self, grid: Grid, context: &mut Context<'_>, sink: Sink<'_>) -> Result<(), EvalError> {
        let Self { op, grouping, parameter: AggregateParameter::Scalar { value, place }, input, .. } = self else {
            unreachable!("the planner gives limits their number");
        };
        let parameters = evaluate_scalar(value, grid, context)?;
        if op == AggregateOp::LimitRatio {
            let ratios = ratios(parameters, place, context)?;
            evaluate_vector(*input, grid, context, &mut |context, row| {
                let offset = sampling_offset(&row.labels);
                for (step, ratio) in ratios.iter().enumerate() {
                    if !is_sampled(*ratio, offset) {
                        row.column.remove(step);
                    }
                }
                if row.column.any_present() { sink(context, row) } else { Ok(()) }
            })?;
            context.budget.release(grid.steps);
            return Ok(());
        }
        let wanted = wanted(&parameters)?;
        let mut groups: Groups<Vec<usize>> = Groups::default();
        evaluate_vector(*input, grid, context, &mut |context, row| {
            let key = grouping.group(&row.labels);
            let group = groups.index(key, || wanted.clone(), grid.steps, context)?;
            let missing = &mut groups.list[group].state;
            for (step, missing) in missing.iter_mut().enumerate() {
                match missing {
                    0 => row.column.remove(step),
                    _ if row.column.is_present(step) => *missing -= 1,
                    _ => {}
                }
            }
            if row.column.any_present() { sink(context, row) } else { Ok(()) }
        })?;
        context.budget.release(grid.steps * (1 + groups.list.len()));
        Ok(())
    }
}

/// The part of the elements that is wanted at each step, between -1 and 1.
fn ratios(mut ratios: Vec<f64>, place: Place, context: &mut Context<'_>) -> Result<Vec<f64>, EvalError> {
    if ratios.iter().any(|ratio| ratio.is_nan()) {
        return Err(EvalError::Execution("Ratio value is NaN".into()));
    }
    let greatest = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    for (worst, bound, beyond) in [(greatest, 1.0, greatest > 1.0), (least, -1.0, least < -1.0)] {
        if beyond {
            let worst = go_float(worst);
            let text = format!("ratio value should be between -1 and 1, got {worst}, capping to {bound}");
            context.annotations.warn(place, text);
        }
    }
    ratios.iter_mut().for_each(|ratio| *ratio = ratio.clamp(-1.0, 1.0));
    Ok(ratios)
}

/// Where a series stands between 0 and 1: its hash, so that it is the same each time and, with the bytes that upstream
/// hashes, also the same there.
fn sampling_offset(labels: &Labels) -> f64 {
    xxh64(&upstream_bytes(labels), 0) as f64 / u64::MAX as f64
}

/// A positive ratio takes from the start, a negative one the rest of what its complement would take.
fn is_sampled(ratio: f64, offset: f64) -> bool {
    match () {
        () if ratio == 0.0 => false,
        () if ratio > 0.0 => offset < ratio,
        () => offset >= 1.0 + ratio,
    }
}

/// Names and values with their lengths in front: one byte, or from 255 on that and three more, little endian.
fn upstream_bytes(labels: &Labels) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(labels.as_packed().len());
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            _ => {
                bytes.push(u8::MAX);
                bytes.extend_from_slice(&text.len().to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_and_its_complement_share_all() {
        for index in 0..=1000 {
            let offset = f64::from(index) / 1000.0;
            assert!(is_sampled(0.25, offset) != is_sampled(-0.75, offset), "{offset}");
            assert!(!is_sampled(0.0, offset));
            assert!(is_sampled(-1.0, offset));
        }
    }

    #[test]
    fn long_values_have_long_lengths() {
        let labels = Labels::from_pairs([("a", "x".repeat(300)), ("b", "y".into())]).unwrap();
        let bytes = upstream_bytes(&labels);
        assert_eq!(bytes[..6], [1, b'a', 255, 44, 1, 0]);
        assert_eq!(bytes[306..], [1, b'b', 1, b'y']);
    }

    #[test]
    fn offsets_spread() {
        let offset = |index: u32| sampling_offset(&Labels::from_pairs([("i", index.to_string())]).unwrap());
        let below = (0..1000).filter(|index| offset(*index) < 0.5).count();
        assert!((450..550).contains(&below), "{below}");
        assert_eq!(offset(7), offset(7));
    }
}
