//! PromQL's text form: syntax tree, parser with type checks, printer.
//!
//! Pure text in, tree out. The grammar, the type rules and the error texts are those of Prometheus 3.14; what upstream keeps
//! behind feature switches stands behind those of [`Options`]. Everything is bounded: [`QUERY_BYTES_MAX`],
//! [`DEPTH_MAX`], [`AUTOMATA_MAX`].
//! Not here: evaluation.

mod ast;
mod check;
mod duration_value;
mod error;
mod function;
mod lexer;
mod literal;
mod parser;
mod pretty;
mod printer;
mod quote;
mod token;

pub use ast::{
    AggregateOp, Aggregation, At, Binary, BinaryOp, Call, Cardinality, Duration, DurationExpr, Expr, ExtendedRange,
    MatrixSelector, NumberLiteral, Paren, PositionRange, StringLiteral, Subquery, Unary, UnaryOp, ValueType,
    VectorMatching, VectorSelector,
};
pub use duration_value::{DurationError, QueryTimes};
pub use error::ParseError;
pub use function::{Function, Variadic, function, functions};
pub use literal::{duration_ms as parse_duration_ms, number as parse_number};
pub use parser::{parse_expr, parse_metric_selector};

/// The longest text that is parsed.
pub const QUERY_BYTES_MAX: usize = 1 << 20;

/// The deepest tree that is parsed: what recurses over trees needs stack for no more.
pub const DEPTH_MAX: usize = 512;

/// The most regular expressions in one text that need an automaton: each may take up to a few MiB. Plain alternatives
/// (`a|b|c`), `prefix.*` and their like need none.
pub const AUTOMATA_MAX: usize = 100;

/// Which experimental parts of the grammar are accepted. All off by default, as upstream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Options {
    /// Functions and aggregations marked experimental (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// Expressions in ranges, steps and offsets (`promql-duration-expr`).
    pub duration_expressions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right` (`promql-binop-fill-modifiers`).
    pub fill_modifiers: bool,
}

impl Options {
    /// Everything that is known.
    pub const fn all() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}
