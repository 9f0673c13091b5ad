//! From a tree to text, as Prometheus prints it. What is printed parses to the same tree again, positions aside.

use std::fmt::{self, Display, Formatter, Write};

use model::{METRIC_NAME, MatchOp, Matcher};

use crate::ast::{
    Aggregation, At, Binary, BinaryOp, Call, Cardinality, Duration, DurationExpr, Expr, MatrixSelector, NumberLiteral,
    Subquery, VectorMatching, VectorSelector,
};
use crate::pretty::Part;
use crate::quote::{quoted, write_quoted};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(node) => node.fmt(f),
            Self::String(node) => f.write_str(&node.quoted()),
            Self::Vector(node) => node.fmt(f),
            Self::Matrix(node) => node.fmt(f),
            Self::Subquery(node) => node.fmt(f),
            Self::Call(node) => node.fmt(f),
            Self::Aggregation(node) => node.fmt(f),
            Self::Binary(node) => node.fmt(f),
            Self::Unary(node) => write!(f, "{}{}", node.op.as_str(), node.expr),
            Self::Paren(node) => write!(f, "({})", node.expr),
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // The value is a whole number of milliseconds in seconds, and keeps its sign even as zero.
            f.write_str(if self.value.is_sign_negative() { "-" } else { "" })?;
            return write_duration(f, (self.value.abs() * 1e3).round() as i64);
        }
        match self.value {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, self)?;
        write_at(f, self.at)?;
        write_extended(f, self)?;
        write_offset(f, &self.offset)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, &self.selector)?;
        write!(f, "[{}]", self.range)?;
        write_extended(f, &self.selector)?;
        write_at(f, self.selector.at)?;
        write_offset(f, &self.selector.offset)
    }
}

impl Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, self.suffix())
    }
}

impl Subquery {
    /// What stands behind the expression.
    pub(crate) fn suffix(&self) -> impl Display {
        Part(|f: &mut Formatter<'_>| {
            write!(f, "[{}:", self.range)?;
            if let Some(step) = &self.step {
                step.fmt(f)?;
            }
            f.write_char(']')?;
            write_at(f, self.at)?;
            write_offset(f, &self.offset)
        })
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name)?;
        for (index, arg) in self.args.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{arg}")?;
        }
        f.write_char(')')
    }
}

impl Display for Aggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.head())?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl Aggregation {
    /// What stands in front of the parenthesis.
    pub(crate) fn head(&self) -> impl Display {
        Part(|f: &mut Formatter<'_>| {
            f.write_str(self.op.as_str())?;
            if self.without || !self.grouping.is_empty() {
                f.write_str(if self.without { " without (" } else { " by (" })?;
                write_labels(f, &self.grouping)?;
                f.write_str(") ")?;
            }
            Ok(())
        })
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.op, &*self.lhs) {
            // A sign before `^` would be the sign of the power.
            (BinaryOp::Pow, Expr::Number(number)) if number.value == f64::INFINITY => f.write_str("Inf")?,
            (_, lhs) => lhs.fmt(f)?,
        }
        write!(f, " {} {}", self.operator(), self.rhs)
    }
}

impl Binary {
    /// What stands between the operands.
    pub(crate) fn operator(&self) -> impl Display {
        Part(|f: &mut Formatter<'_>| {
            f.write_str(self.op.as_str())?;
            if self.return_bool {
                f.write_str(" bool")?;
            }
            self.matching.as_ref().map_or(Ok(()), |matching| matching.fmt(f))
        })
    }
}

impl Display for VectorMatching {
    /// With a space in front; nothing for plain one-to-one matching on all labels.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.cardinality {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if self.on || !self.labels.is_empty() || group.is_some() {
            f.write_str(if self.on { " on (" } else { " ignoring (" })?;
            write_labels(f, &self.labels)?;
            f.write_char(')')?;
        }
        if let Some(group) = group {
            write!(f, " {group} (")?;
            write_labels(f, &self.include)?;
            f.write_char(')')?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => write!(f, " fill ({})", Fill(left)),
            (left, right) => {
                if let Some(left) = left {
                    write!(f, " fill_left ({})", Fill(left))?;
                }
                if let Some(right) = right {
                    write!(f, " fill_right ({})", Fill(right))?;
                }
                Ok(())
            }
        }
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ms(ms) => write_duration(f, *ms),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Step(_) => f.write_str("step()"),
            Self::Range(_) => f.write_str("range()"),
            Self::MinOf(left, right, _) => write!(f, "min_of({left}, {right})"),
            Self::MaxOf(left, right, _) => write!(f, "max_of({left}, {right})"),
            Self::Negative(operand, _) => write!(f, "-{operand}"),
            Self::Binary(op, left, right, _) => write!(f, "{left} {} {right}", op.as_str()),
            Self::Paren(inner, _) => write!(f, "({inner})"),
        }
    }
}

/// Name and braces of a selector. Matchers are sorted by their text, that of the name in front is left out.
fn write_series(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let is_name = |matcher: &&Matcher| {
        matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal && matcher.value() == name && !name.is_empty()
    };
    let mut matchers: Vec<String> =
        selector.matchers.iter().filter(|matcher| !is_name(matcher)).map(matcher_text).collect();
    if matchers.is_empty() {
        return Ok(());
    }
    matchers.sort();
    write!(f, "{{{}}}", matchers.join(","))
}

fn matcher_text(matcher: &Matcher) -> String {
    let (op, value) = (matcher.op().as_str(), quoted(matcher.value()));
    if is_plain_label(matcher.name()) {
        format!("{}{op}{value}", matcher.name())
    } else {
        format!("{}{op}{value}", quoted(matcher.name()))
    }
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        if is_plain_label(label) {
            f.write_str(label)?;
        } else {
            write_quoted(f, label)?;
        }
    }
    Ok(())
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        Some(At::Timestamp(timestamp)) => write!(f, " @ {:.3}", timestamp.0 as f64 / 1e3),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        None => Ok(()),
    }
}

fn write_extended(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    match selector.extended {
        Some(extended) => write!(f, " {}", extended.as_str()),
        None => Ok(()),
    }
}

fn write_offset(f: &mut Formatter<'_>, offset: &Duration) -> fmt::Result {
    if offset.is_zero() {
        return Ok(());
    }
    write!(f, " offset {offset}")
}

/// Units as Prometheus chooses them: years and weeks only when nothing is left over, since 90d reads better than 12w6d.
fn write_duration(f: &mut Formatter<'_>, ms: i64) -> fmt::Result {
    const EXACT: [(&str, u64); 2] = [("y", 365 * 86_400_000), ("w", 7 * 86_400_000)];
    const PARTS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    if ms == 0 {
        return f.write_str("0s");
    }
    if ms < 0 {
        f.write_char('-')?;
    }
    let mut rest = ms.unsigned_abs();
    for (unit, unit_ms) in EXACT {
        if rest >= unit_ms && rest.is_multiple_of(unit_ms) {
            return write!(f, "{}{unit}", rest / unit_ms);
        }
    }
    for (unit, unit_ms) in PARTS {
        if rest >= unit_ms {
            write!(f, "{}{unit}", rest / unit_ms)?;
            rest %= unit_ms;
        }
    }
    Ok(())
}

/// A fill value as Go's `%v` prints it: with an exponent when it is very large or very small.
struct Fill(f64);

impl Display for Fill {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) && !value.is_nan() => {
                let text = format!("{value:e}");
                let (mantissa, exponent) = text.split_once('e').expect("the format has an exponent");
                let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
                write!(f, "{mantissa}e{sign}{digits:0>2}")
            }
            value => write!(f, "{value}"),
        }
    }
}

/// Whether a label's name can stand without quotes.
fn is_plain_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
