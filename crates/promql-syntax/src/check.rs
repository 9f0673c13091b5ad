//! Type checks: arguments, operands, vector matching, selectors that would select everything.
//!
//! Rules, their order and their words are those of Prometheus' `checkAST`: the first mistake found is the one shown.

use model::METRIC_NAME;

use crate::ast::{Aggregation, Binary, Call, Cardinality, Expr, PositionRange, Unary, ValueType, VectorSelector};
use crate::function::Variadic;
use crate::quote::quoted;
use crate::{ParseError, Subquery};

/// Checks a tree and settles how its binary operators match vectors, which depends on the operands' types.
pub(crate) fn check(input: &str, expr: &mut Expr) -> Result<(), ParseError> {
    Checker { input }.expr(expr).map(drop)
}

type Checked<T> = Result<T, ParseError>;

struct Checker<'a> {
    input: &'a str,
}

impl Checker<'_> {
    fn expr(&self, expr: &mut Expr) -> Checked<ValueType> {
        match expr {
            Expr::Number(_) => Ok(ValueType::Scalar),
            Expr::String(_) => Ok(ValueType::String),
            Expr::Vector(selector) => self.selector(selector).map(|()| ValueType::Vector),
            Expr::Matrix(matrix) => self.selector(&matrix.selector).map(|()| ValueType::Matrix),
            Expr::Subquery(subquery) => self.subquery(subquery).map(|()| ValueType::Matrix),
            Expr::Call(call) => self.call(call).map(|()| call.function.return_type),
            Expr::Aggregation(aggregation) => self.aggregation(aggregation).map(|()| ValueType::Vector),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Unary(unary) => self.unary(unary),
            Expr::Paren(paren) => self.expr(&mut paren.expr),
        }
    }

    fn selector(&self, selector: &VectorSelector) -> Checked<()> {
        let Some(name) = &selector.name else {
            if selector.matchers.iter().all(|matcher| matcher.matches_empty()) {
                return self.fail(selector.position, "vector selector must contain at least one non-empty matcher");
            }
            return Ok(());
        };
        // The last matcher is that of the name in front of the braces.
        let inside = selector.matchers.split_last().map_or(&[][..], |(_, inside)| inside);
        match inside.iter().find(|matcher| matcher.name() == METRIC_NAME) {
            Some(other) => {
                let (name, other) = (quoted(name), quoted(other.value()));
                self.fail(selector.position, format!("metric name must not be set twice: {name} or {other}"))
            }
            None => Ok(()),
        }
    }

    fn subquery(&self, subquery: &mut Subquery) -> Checked<()> {
        match self.expr(&mut subquery.expr)? {
            ValueType::Vector => Ok(()),
            other => {
                let other = other.as_str();
                self.fail(subquery.position, format!("subquery is only allowed on instant vector, got {other} instead"))
            }
        }
    }

    fn unary(&self, unary: &mut Unary) -> Checked<ValueType> {
        match self.expr(&mut unary.expr)? {
            value_type @ (ValueType::Scalar | ValueType::Vector) => Ok(value_type),
            other => {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                    quoted(other.documented())
                );
                self.fail(unary.position, message)
            }
        }
    }

    fn aggregation(&self, aggregation: &mut Aggregation) -> Checked<()> {
        self.expect(&mut aggregation.expr, ValueType::Vector, "aggregation expression")?;
        match (&mut aggregation.param, aggregation.op.param_type()) {
            (Some(param), Some(wanted)) => self.expect(param, wanted, "aggregation parameter"),
            _ => Ok(()),
        }
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Checked<()> {
        let found = self.expr(expr)?;
        if found == wanted {
            return Ok(());
        }
        let (wanted, found) = (wanted.documented(), found.documented());
        self.fail(expr.position(), format!("expected type {wanted} in {context}, got {found}"))
    }

    fn call(&self, call: &mut Call) -> Checked<()> {
        let function = call.function;
        self.argument_number(call)?;
        if function.name == "info" && call.args.len() > 1 {
            self.info_selector(call)?;
        }
        let context = format!("call to function {}", quoted(function.name));
        for (index, arg) in call.args.iter_mut().enumerate() {
            let repeated = function.arg_types.last();
            let Some(wanted) = function.arg_types.get(index).or(repeated) else {
                return Ok(());
            };
            // The second argument of `info` may select by labels that any series has.
            if function.name == "info" && index == 1 {
                continue;
            }
            let found = self.expr(arg)?;
            if found != *wanted {
                let (wanted, found) = (wanted.documented(), found.documented());
                return self.fail(arg.position(), format!("expected type {wanted} in {context}, got {found}"));
            }
        }
        Ok(())
    }

    fn argument_number(&self, call: &Call) -> Checked<()> {
        let (listed, given) = (call.function.arg_types.len(), call.args.len());
        let (at_least, at_most) = match call.function.variadic {
            Variadic::None if listed == given => return Ok(()),
            Variadic::None => {
                let name = quoted(call.function.name);
                let message = format!("expected {listed} argument(s) in call to {name}, got {given}");
                return self.fail(call.position, message);
            }
            Variadic::UpTo(more) => (listed - 1, listed - 1 + usize::from(more)),
            Variadic::Unbounded => (listed - 1, usize::MAX),
        };
        let (bound, limit) = match given {
            _ if given < at_least => ("at least", at_least),
            _ if given > at_most => ("at most", at_most),
            _ => return Ok(()),
        };
        let name = quoted(call.function.name);
        self.fail(call.position, format!("expected {bound} {limit} argument(s) in call to {name}, got {given}"))
    }

    /// The second argument of `info`: a selector without a metric's name.
    fn info_selector(&self, call: &Call) -> Checked<()> {
        let selector = &call.args[1];
        let value_type = selector.value_type();
        if value_type != ValueType::Vector {
            let found = value_type.documented();
            let message = format!("expected type instant vector in call to function \"info\", got {found}");
            return self.fail(call.position, message);
        }
        match selector {
            Expr::Vector(VectorSelector { name: None, .. }) => Ok(()),
            Expr::Vector(selector) => {
                self.fail(selector.position, "expected label selectors only, got vector selector instead")
            }
            other => self.fail(other.position(), "expected label selectors only"),
        }
    }

    fn binary(&self, binary: &mut Binary) -> Checked<ValueType> {
        use ValueType::{Scalar, Vector};
        let (lhs, rhs) = (self.expr(&mut binary.lhs)?, self.expr(&mut binary.rhs)?);
        let op = binary.op;
        if binary.return_bool && !op.is_comparison() {
            let message = "bool modifier can only be used on comparison operators";
            return self.fail(self.operator_position(binary), message);
        }
        if op.is_comparison() && !binary.return_bool && (lhs, rhs) == (Scalar, Scalar) {
            let message = "comparisons between scalars must use BOOL modifier";
            return self.fail(self.operator_position(binary), message);
        }
        self.group_labels(binary)?;
        for (operand, value_type) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
            if !matches!(value_type, Scalar | Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(operand.position(), message);
            }
        }
        if (lhs, rhs) == (Vector, Vector) {
            if op.is_set() {
                self.set_operator(binary)?;
            }
            return Ok(Vector);
        }
        self.no_matching(binary)?;
        if op.is_set() {
            let message = format!("set operator {} not allowed in binary scalar expression", quoted(op.as_str()));
            return self.fail(binary.position, message);
        }
        binary.matching = None;
        Ok(if (lhs, rhs) == (Scalar, Scalar) { Scalar } else { Vector })
    }

    fn group_labels(&self, binary: &Binary) -> Checked<()> {
        let Some(matching) = &binary.matching else {
            return Ok(());
        };
        match matching.labels.iter().find(|label| matching.on && matching.include.contains(label)) {
            Some(label) => {
                let message = format!("label {} must not occur in ON and GROUP clause at once", quoted(label));
                self.fail(self.operator_position(binary), message)
            }
            None => Ok(()),
        }
    }

    fn set_operator(&self, binary: &mut Binary) -> Checked<()> {
        let Some(matching) = &mut binary.matching else {
            return Ok(());
        };
        if matching.cardinality != Cardinality::OneToOne {
            let message = format!("no grouping allowed for {} operation", quoted(binary.op.as_str()));
            return self.fail(binary.position, message);
        }
        matching.cardinality = Cardinality::ManyToMany;
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            return self.fail(binary.position, "filling in missing series not allowed for set operators");
        }
        Ok(())
    }

    /// Nothing may be said about matching when an operand is a scalar.
    fn no_matching(&self, binary: &Binary) -> Checked<()> {
        match &binary.matching {
            Some(matching) if !matching.labels.is_empty() => {
                self.fail(binary.position, "vector matching only allowed between instant vectors")
            }
            Some(matching) if matching.fill_left.is_some() || matching.fill_right.is_some() => {
                self.fail(binary.position, "filling in missing series only allowed between instant vectors")
            }
            _ => Ok(()),
        }
    }

    /// What stands between the operands.
    fn operator_position(&self, binary: &Binary) -> PositionRange {
        let (start, end) = (binary.lhs.position().end, binary.rhs.position().start);
        let between = &self.input[start as usize..end as usize];
        let is_space = [' ', '\t', '\n', '\r'];
        let leading = between.len() - between.trim_start_matches(is_space).len();
        let length = between.trim_matches(is_space).len();
        let start = start + leading as u32;
        PositionRange { start, end: start + length as u32 }
    }

    fn fail<T>(&self, position: PositionRange, message: impl Into<String>) -> Checked<T> {
        Err(ParseError::new(self.input, position, message))
    }
}
