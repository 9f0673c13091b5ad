//! Other forms of a query that must give the same answer.

use model::TimestampMs;
use promql_syntax::{Aggregation, At, Binary, Call, Expr, Paren, Subquery, Unary, VectorSelector};

/// The query with `@` of its time on all selectors and subqueries that have none, with other times to evaluate it at: it must
/// not matter when. None where it does.
///
/// Nothing is added inside a subquery with `@`.
pub(crate) fn at_other_times(mut expr: Expr, at: TimestampMs) -> Vec<(String, TimestampMs)> {
    let mut fixing = Fixing { at: At::Timestamp(at), depends_on_time: false };
    fixing.expr(&mut expr);
    if fixing.depends_on_time {
        return Vec::new();
    }
    let query = expr.to_string();
    let TimestampMs(at) = at;
    let times = match at {
        0 => vec![-1000, 0, 1000],
        _ => vec![at.saturating_mul(-10), 0, at / 5, at, at.saturating_mul(10)],
    };
    times.into_iter().map(|at| (query.clone(), TimestampMs(at))).collect()
}

/// Whether the text asks for times of the query, which a range query around it changes.
pub(crate) fn depends_on_the_query(query: &str) -> bool {
    ["start()", "end()", "range()", "step()"].iter().any(|call| query.contains(call))
}

/// Functions of the time of evaluation.
const OF_TIME: &[&str] = &[
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "range",
    "step",
];

struct Fixing {
    at: At,
    depends_on_time: bool,
}

impl Fixing {
    fn expr(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Number(_) | Expr::String(_) => {}
            Expr::Vector(selector) => self.selector(selector),
            Expr::Matrix(matrix) => self.selector(&mut matrix.selector),
            // What is inside is fixed with it.
            Expr::Subquery(Subquery { at, .. }) => {
                at.get_or_insert(self.at);
            }
            Expr::Call(Call { function, args, .. }) => {
                self.depends_on_time |= OF_TIME.contains(&function.name);
                args.iter_mut().for_each(|arg| self.expr(arg));
            }
            Expr::Aggregation(Aggregation { expr, param, .. }) => {
                self.expr(expr);
                if let Some(param) = param {
                    self.expr(param);
                }
            }
            Expr::Binary(Binary { lhs, rhs, .. }) => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Unary(Unary { expr, .. }) | Expr::Paren(Paren { expr, .. }) => self.expr(expr),
        }
    }

    fn selector(&self, selector: &mut VectorSelector) {
        selector.at.get_or_insert(self.at);
    }
}
