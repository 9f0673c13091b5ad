//! A figure, its bound, and whether it is kept.

/// Prints one promise. Figures are kept when they are at most their bound.
pub(crate) fn at_most(promise: &str, figure: f64, bound: f64, unit: &str) {
    line(promise, figure, "at most", bound, unit, figure <= bound);
}

/// As [`at_most`] for what should be large.
pub(crate) fn at_least(promise: &str, figure: f64, bound: f64, unit: &str) {
    line(promise, figure, "at least", bound, unit, figure >= bound);
}

fn line(promise: &str, figure: f64, relation: &str, bound: f64, unit: &str, kept: bool) {
    let kept = if kept { "kept:  " } else { "BROKEN:" };
    println!("{kept} {promise}: {figure:.3} {unit}, {relation} {bound:.3} (ratio {:.2})", figure / bound);
}
