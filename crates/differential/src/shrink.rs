//! Smaller queries made of one: each has a part less, or something plain in the place of a part.

use promql::EvalTime;
use promql_syntax::{
    Aggregation, At, Binary, Call, Duration, Expr, MatrixSelector, Subquery, Unary, ValueType, VectorMatching,
    VectorSelector, parse_expr,
};
use promql_syntax::{Options, PositionRange};

/// Replaces `query` by smaller ones as long as `differs` says so. `differs` is asked [`TRIES_MAX`] times at most.
///
/// The result is `query` itself when no smaller one differs, or when it does not parse.
pub fn shrink(
    query: &str,
    time: EvalTime,
    grammar: Options,
    mut differs: impl FnMut(&str, EvalTime) -> Option<Option<i64>>,
) -> (String, EvalTime) {
    let (mut best, mut best_time) = (query.to_owned(), time);
    let mut tries = 0;
    let mut at = None;
    'again: loop {
        // A single time says more than a range.
        for time in simpler_times(best_time, at) {
            tries += 1;
            if differs(&best, time).is_some() {
                best_time = time;
            }
        }
        let Ok(expr) = parse_expr(&best, grammar) else { return (best, best_time) };
        for smaller in smaller(&expr) {
            let text = smaller.to_string();
            if text.len() >= best.len() || parse_expr(&text, grammar).is_err() {
                continue;
            }
            tries += 1;
            if tries > TRIES_MAX {
                return (best, best_time);
            }
            if let Some(place) = differs(&text, best_time) {
                (best, at) = (text, place);
                continue 'again;
            }
        }
        return (best, best_time);
    }
}

fn simpler_times(time: EvalTime, at: Option<i64>) -> Vec<EvalTime> {
    match (time, at) {
        (EvalTime::Range { .. }, Some(at)) => vec![EvalTime::Instant(model::TimestampMs(at))],
        (EvalTime::Range { start, end, .. }, None) if start != end => vec![EvalTime::Instant(start)],
        _ => Vec::new(),
    }
}

/// Each with one change, large changes first.
fn smaller(expr: &Expr) -> Vec<Expr> {
    let mut found: Vec<Expr> = Vec::new();
    // A part in the place of the whole.
    for part in parts(expr) {
        if stands_for(part.value_type(), expr.value_type()) {
            found.push(part.clone());
        }
    }
    found.extend(simpler(expr));
    // The same one level down.
    for (index, part) in parts(expr).into_iter().enumerate() {
        for smaller in smaller(part) {
            let mut whole = expr.clone();
            if let Some(place) = parts_mut(&mut whole).into_iter().nth(index) {
                *place = smaller;
                found.push(whole);
            }
        }
    }
    found
}

fn stands_for(part: ValueType, whole: ValueType) -> bool {
    part == whole || part == ValueType::Scalar && whole == ValueType::Vector
}

/// The expressions that an expression is made of.
pub(crate) fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => Vec::new(),
        Expr::Subquery(Subquery { expr, .. }) | Expr::Unary(Unary { expr, .. }) => vec![expr],
        Expr::Call(Call { args, .. }) => args.iter().collect(),
        Expr::Aggregation(Aggregation { expr, param, .. }) => param.as_deref().into_iter().chain([&**expr]).collect(),
        Expr::Binary(Binary { lhs, rhs, .. }) => vec![lhs, rhs],
        Expr::Paren(paren) => vec![&paren.expr],
    }
}

fn parts_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => Vec::new(),
        Expr::Subquery(Subquery { expr, .. }) | Expr::Unary(Unary { expr, .. }) => vec![expr],
        Expr::Call(Call { args, .. }) => args.iter_mut().collect(),
        Expr::Aggregation(Aggregation { expr, param, .. }) => {
            param.as_deref_mut().into_iter().chain([&mut **expr]).collect()
        }
        Expr::Binary(Binary { lhs, rhs, .. }) => vec![lhs, rhs],
        Expr::Paren(paren) => vec![&mut paren.expr],
    }
}

/// The node with something left out.
fn simpler(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::new();
    match expr {
        Expr::Vector(selector) => found.extend(simpler_selectors(selector).into_iter().map(Expr::Vector)),
        Expr::Matrix(matrix) => {
            for selector in simpler_selectors(&matrix.selector) {
                found.push(Expr::Matrix(MatrixSelector { selector, ..matrix.clone() }));
            }
        }
        Expr::Subquery(subquery) => {
            if let Expr::Vector(selector) = &*subquery.expr {
                found.push(Expr::Matrix(MatrixSelector {
                    selector: selector.clone(),
                    range: subquery.range.clone(),
                    position: PositionRange::default(),
                }));
            }
            if subquery.at.is_some() || !subquery.offset.is_zero() {
                found.push(Expr::Subquery(Subquery { at: None, offset: Duration::Ms(0), ..subquery.clone() }));
            }
        }
        Expr::Aggregation(aggregation) => {
            for index in 0..aggregation.grouping.len() {
                let mut fewer = aggregation.clone();
                fewer.grouping.remove(index);
                found.push(Expr::Aggregation(fewer));
            }
            found.push(Expr::Aggregation(Aggregation { grouping: Vec::new(), without: false, ..aggregation.clone() }));
        }
        Expr::Binary(binary) => {
            found.push(Expr::Binary(Binary { return_bool: false, ..binary.clone() }));
            if let Some(matching) = &binary.matching {
                let plain = [
                    VectorMatching { fill_left: None, fill_right: None, ..matching.clone() },
                    VectorMatching { include: Vec::new(), ..matching.clone() },
                    VectorMatching { labels: Vec::new(), on: false, ..matching.clone() },
                ];
                for matching in plain {
                    found.push(Expr::Binary(Binary { matching: Some(matching), ..binary.clone() }));
                }
            }
        }
        Expr::Number(_) | Expr::String(_) | Expr::Call(_) | Expr::Unary(_) | Expr::Paren(_) => {}
    }
    found
}

fn simpler_selectors(selector: &VectorSelector) -> Vec<VectorSelector> {
    let mut found = Vec::new();
    if selector.at.is_some() {
        found.push(VectorSelector { at: None, ..selector.clone() });
        if selector.at != Some(At::End) {
            found.push(VectorSelector { at: Some(At::End), ..selector.clone() });
        }
    }
    if !selector.offset.is_zero() {
        found.push(VectorSelector { offset: Duration::Ms(0), ..selector.clone() });
    }
    if selector.extended.is_some() {
        found.push(VectorSelector { extended: None, ..selector.clone() });
    }
    for index in 0..selector.matchers.len() {
        if selector.matchers.len() > 1 && selector.matchers[index].name() != model::METRIC_NAME {
            let mut fewer = selector.clone();
            fewer.matchers.remove(index);
            found.push(fewer);
        }
    }
    found
}

/// Each asks both sides once.
pub const TRIES_MAX: usize = 300;

#[cfg(test)]
mod tests;
