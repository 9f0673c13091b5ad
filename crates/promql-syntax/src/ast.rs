//! The syntax tree of an expression.
//!
//! Terms and shape are Prometheus' own (`promql/parser/ast.go`), so that its documentation reads against this one.
//! Invariant of every tree that the parser hands out: it is type-checked (arguments fit their function's signature, operands
//! their operator, ranges hang on vector selectors only) and at most [`crate::DEPTH_MAX`] deep, so plain recursion is safe.
//! Not here: what an expression means; that is the engine's.

use model::{Matcher, TimestampMs};

use crate::Function;

/// Where a node stands in the text: byte offsets, `start` included, `end` not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PositionRange {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// What an expression evaluates to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueType {
    /// One number per time.
    Scalar,
    /// One sample per series: an instant vector.
    Vector,
    /// Several samples per series: a range vector.
    Matrix,
    /// A text.
    String,
}

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// `1.5`, `Inf`, `5m`
    Number(NumberLiteral),
    /// `"text"`
    String(StringLiteral),
    /// `up{job="api"}`
    Vector(VectorSelector),
    /// `up[5m]`
    Matrix(MatrixSelector),
    /// `rate(x[5m])[1h:1m]`
    Subquery(Subquery),
    /// `rate(…)`
    Call(Call),
    /// `sum by (job) (…)`
    Aggregation(Aggregation),
    /// `a + b`
    Binary(Binary),
    /// `-a`
    Unary(Unary),
    /// `(a)`
    Paren(Paren),
}

/// A number, or a duration where a number may stand.
#[derive(Clone, Debug)]
pub struct NumberLiteral {
    /// The number; seconds when it was written as a duration.
    pub value: f64,
    /// Whether it was written as a duration (`5m`), which decides only how it is printed.
    pub is_duration: bool,
    /// Where it stands.
    pub position: PositionRange,
}

/// A text, escapes resolved.
#[derive(Clone, PartialEq, Debug)]
pub struct StringLiteral {
    /// The text.
    pub value: String,
    /// The bytes, when escapes have put some together that are no valid UTF-8; `value` then has replacement characters
    /// instead of them, and such a text is the name of no label.
    pub invalid_utf8: Option<Box<[u8]>>,
    /// Where it stands, quotes included.
    pub position: PositionRange,
}

/// A span of time in the text: almost always plain milliseconds.
#[derive(Clone, PartialEq, Debug)]
pub enum Duration {
    /// Milliseconds; negative only for offsets.
    Ms(i64),
    /// An expression over durations; only with [`crate::Options::duration_expressions`].
    Expr(Box<DurationExpr>),
}

/// An expression over durations (experimental). Values are seconds.
#[derive(Clone, PartialEq, Debug)]
pub enum DurationExpr {
    /// A number of seconds or a duration.
    Number(NumberLiteral),
    /// `step()`: the query's step.
    Step(PositionRange),
    /// `range()`: the query's whole range.
    Range(PositionRange),
    /// `min_of(a, b)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>, PositionRange),
    /// `max_of(a, b)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>, PositionRange),
    /// `-a`
    Negative(Box<DurationExpr>, PositionRange),
    /// `a + b`; one of `+ - * / % ^`
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>, PositionRange),
    /// `(a)`
    Paren(Box<DurationExpr>, PositionRange),
}

/// The `@` modifier: evaluate at a fixed time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// `@ 1609746000`
    Timestamp(TimestampMs),
    /// `@ start()`: the first time of the query.
    Start,
    /// `@ end()`: the last time of the query.
    End,
}

/// How a selector treats the edges of its range (experimental).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExtendedRange {
    /// `anchored`: takes the sample before the range as its start.
    Anchored,
    /// `smoothed`: interpolates at both edges.
    Smoothed,
}

/// Selects series.
#[derive(Clone, PartialEq, Debug)]
pub struct VectorSelector {
    /// The metric's name when it is written in front of the braces. It is among `matchers` too.
    pub name: Option<String>,
    /// All conditions, that on `__name__` included: select by these alone.
    pub matchers: Vec<Matcher>,
    /// `offset`: looks this far into the past; negative looks ahead. `Ms(0)` when absent.
    pub offset: Duration,
    /// `@`
    pub at: Option<At>,
    /// `anchored` or `smoothed`
    pub extended: Option<ExtendedRange>,
    /// Where it stands.
    pub position: PositionRange,
}

/// Selects a range of samples of each series. Offset and `@` stand in its selector.
#[derive(Clone, PartialEq, Debug)]
pub struct MatrixSelector {
    /// Which series.
    pub selector: VectorSelector,
    /// How far back, positive.
    pub range: Duration,
    /// Where it stands.
    pub position: PositionRange,
}

/// Evaluates an expression over a range of times.
#[derive(Clone, PartialEq, Debug)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// How far back, positive.
    pub range: Duration,
    /// Distance of the times; absent: the engine's default.
    pub step: Option<Duration>,
    /// `offset`, as in [`VectorSelector::offset`].
    pub offset: Duration,
    /// `@`
    pub at: Option<At>,
    /// Where it stands.
    pub position: PositionRange,
}

/// A function call. Optional arguments that were left out are not in `args`.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Which function, with its signature.
    pub function: &'static Function,
    /// The arguments.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub position: PositionRange,
}

/// Aggregates a vector.
#[derive(Clone, PartialEq, Debug)]
pub struct Aggregation {
    /// How.
    pub op: AggregateOp,
    /// What: a vector.
    pub expr: Box<Expr>,
    /// The parameter of operators that have one ([`AggregateOp::param_type`]): there exactly for those.
    pub param: Option<Box<Expr>>,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `grouping` names the labels to drop (`without`) rather than to keep (`by`).
    pub without: bool,
    /// Where it stands.
    pub position: PositionRange,
}

/// An operator between two operands.
#[derive(Clone, PartialEq, Debug)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// The left operand.
    pub lhs: Box<Expr>,
    /// The right operand.
    pub rhs: Box<Expr>,
    /// `bool`: a comparison answers 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How elements are paired; present exactly when both operands are vectors.
    pub matching: Option<VectorMatching>,
    /// Where it stands.
    pub position: PositionRange,
}

/// How many elements of one side may meet one of the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cardinality {
    /// One of each.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// The set operators.
    ManyToMany,
}

/// How elements of two vectors are paired.
#[derive(Clone, PartialEq, Debug)]
pub struct VectorMatching {
    /// How many may meet.
    pub cardinality: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` are those that must agree (`on`) rather than those left out (`ignoring`).
    pub on: bool,
    /// Labels of `group_left(…)` or `group_right(…)`: copied from the side with one element.
    pub include: Vec<String>,
    /// Value for a missing left element (experimental `fill`, `fill_left`).
    pub fill_left: Option<f64>,
    /// Value for a missing right element (experimental `fill`, `fill_right`).
    pub fill_right: Option<f64>,
}

/// A sign.
#[derive(Clone, PartialEq, Debug)]
pub struct Unary {
    /// Which.
    pub op: UnaryOp,
    /// Of what: a scalar or a vector.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub position: PositionRange,
}

/// An expression in parentheses.
#[derive(Clone, PartialEq, Debug)]
pub struct Paren {
    /// What they enclose.
    pub expr: Box<Expr>,
    /// Where it stands, parentheses included.
    pub position: PositionRange,
}

/// A sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// A binary operator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: keeps a histogram's observations below a value (experimental).
    TrimUpper,
    /// `>/`: keeps a histogram's observations above a value (experimental).
    TrimLower,
}

/// An aggregation operator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AggregateOp {
    /// `avg`
    Avg,
    /// `bottomk`
    BottomK,
    /// `count`
    Count,
    /// `count_values`
    CountValues,
    /// `group`
    Group,
    /// `limit_ratio` (experimental)
    LimitRatio,
    /// `limitk` (experimental)
    LimitK,
    /// `max`
    Max,
    /// `min`
    Min,
    /// `quantile`
    Quantile,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `sum`
    Sum,
    /// `topk`
    TopK,
}

impl PartialEq for NumberLiteral {
    /// Bitwise, so that trees with NaN equal themselves.
    fn eq(&self, other: &Self) -> bool {
        (self.value.to_bits(), self.is_duration, self.position)
            == (other.value.to_bits(), other.is_duration, other.position)
    }
}

impl ValueType {
    /// As the query API names it and error texts print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// As documentation and error texts describe it.
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

impl PositionRange {
    /// From the start of `self` to the end of `last`.
    #[must_use]
    pub const fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }
}

impl ExtendedRange {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

impl StringLiteral {
    /// The text in double quotes with escapes, as error texts show it; parses to the same text again.
    pub fn quoted(&self) -> String {
        crate::quote::quoted_bytes(self.invalid_utf8.as_deref().unwrap_or(self.value.as_bytes()))
    }
}

impl Duration {
    /// Whether it is written out as zero, which for an offset means the same as no offset.
    pub fn is_zero(&self) -> bool {
        *self == Self::Ms(0)
    }
}

impl DurationExpr {
    /// Where it stands.
    pub fn position(&self) -> PositionRange {
        match self {
            Self::Number(node) => node.position,
            Self::Step(position)
            | Self::Range(position)
            | Self::MinOf(.., position)
            | Self::MaxOf(.., position)
            | Self::Negative(_, position)
            | Self::Binary(.., position) => *position,
            // As upstream's errors have it: what stands inside.
            Self::Paren(inner, _) => inner.position(),
        }
    }
}

impl Expr {
    /// What it evaluates to.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregation(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(call) => call.function.return_type,
            Self::Binary(Binary { lhs, rhs, .. }) => match (lhs.value_type(), rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Self::Unary(Unary { expr, .. }) | Self::Paren(Paren { expr, .. }) => expr.value_type(),
        }
    }

    /// Where it stands.
    pub fn position(&self) -> PositionRange {
        match self {
            Self::Number(node) => node.position,
            Self::String(node) => node.position,
            Self::Vector(node) => node.position,
            Self::Matrix(node) => node.position,
            Self::Subquery(node) => node.position,
            Self::Call(node) => node.position,
            Self::Aggregation(node) => node.position,
            Self::Binary(node) => node.position,
            Self::Unary(node) => node.position,
            Self::Paren(node) => node.position,
        }
    }

    /// The expression inside any parentheses around it.
    pub fn without_parens(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}

impl UnaryOp {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
        }
    }
}

impl BinaryOp {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it is one of `== != > < >= <=`.
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal | Self::NotEqual | Self::Greater | Self::Less | Self::GreaterOrEqual | Self::LessOrEqual
        )
    }

    /// Whether it is one of `and or unless`.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

impl AggregateOp {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::BottomK => "bottomk",
            Self::Count => "count",
            Self::CountValues => "count_values",
            Self::Group => "group",
            Self::LimitRatio => "limit_ratio",
            Self::LimitK => "limitk",
            Self::Max => "max",
            Self::Min => "min",
            Self::Quantile => "quantile",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Sum => "sum",
            Self::TopK => "topk",
        }
    }

    /// The type of its parameter, for those that have one.
    pub const fn param_type(self) -> Option<ValueType> {
        match self {
            Self::TopK | Self::BottomK | Self::Quantile | Self::LimitK | Self::LimitRatio => Some(ValueType::Scalar),
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Whether upstream keeps it behind the switch for experimental functions.
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::LimitK | Self::LimitRatio)
    }
}
