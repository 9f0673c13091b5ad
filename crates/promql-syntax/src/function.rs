//! The functions of the language and their signatures, as of Prometheus 3.14.
//!
//! A signature says what type checks need; whether and how a function is evaluated is the engine's.

use crate::ValueType::{self, Matrix, Scalar, String, Vector};

/// A function's signature.
#[derive(PartialEq, Eq, Debug)]
pub struct Function {
    /// As it is called.
    pub name: &'static str,
    /// Types of its arguments; the last one stands for all repeated ones too.
    pub arg_types: &'static [ValueType],
    /// What may be left out or repeated.
    pub variadic: Variadic,
    /// What it returns.
    pub return_type: ValueType,
    /// Whether upstream keeps it behind a switch.
    pub experimental: bool,
}

/// Which numbers of arguments a function takes, seen from its listed argument types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variadic {
    /// Exactly those listed.
    None,
    /// The last may be left out or, repeated, stand up to this often.
    UpTo(u8),
    /// The last may be left out or repeated without end.
    Unbounded,
}

/// The function of that name.
pub fn function(name: &str) -> Option<&'static Function> {
    let index = FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok()?;
    Some(&FUNCTIONS[index])
}

/// All functions, sorted by name.
pub fn functions() -> &'static [Function] {
    FUNCTIONS
}

const fn stable(
    name: &'static str,
    arg_types: &'static [ValueType],
    variadic: Variadic,
    return_type: ValueType,
) -> Function {
    Function { name, arg_types, variadic, return_type, experimental: false }
}

const fn experimental(
    name: &'static str,
    arg_types: &'static [ValueType],
    variadic: Variadic,
    return_type: ValueType,
) -> Function {
    Function { name, arg_types, variadic, return_type, experimental: true }
}

#[rustfmt::skip]
static FUNCTIONS: &[Function] = &[
    stable("abs", &[Vector], Variadic::None, Vector),
    stable("absent", &[Vector], Variadic::None, Vector),
    stable("absent_over_time", &[Matrix], Variadic::None, Vector),
    stable("acos", &[Vector], Variadic::None, Vector),
    stable("acosh", &[Vector], Variadic::None, Vector),
    stable("asin", &[Vector], Variadic::None, Vector),
    stable("asinh", &[Vector], Variadic::None, Vector),
    stable("atan", &[Vector], Variadic::None, Vector),
    stable("atanh", &[Vector], Variadic::None, Vector),
    stable("avg_over_time", &[Matrix], Variadic::None, Vector),
    stable("ceil", &[Vector], Variadic::None, Vector),
    stable("changes", &[Matrix], Variadic::None, Vector),
    stable("clamp", &[Vector, Scalar, Scalar], Variadic::None, Vector),
    stable("clamp_max", &[Vector, Scalar], Variadic::None, Vector),
    stable("clamp_min", &[Vector, Scalar], Variadic::None, Vector),
    stable("cos", &[Vector], Variadic::None, Vector),
    stable("cosh", &[Vector], Variadic::None, Vector),
    stable("count_over_time", &[Matrix], Variadic::None, Vector),
    stable("day_of_month", &[Vector], Variadic::UpTo(1), Vector),
    stable("day_of_week", &[Vector], Variadic::UpTo(1), Vector),
    stable("day_of_year", &[Vector], Variadic::UpTo(1), Vector),
    stable("days_in_month", &[Vector], Variadic::UpTo(1), Vector),
    stable("deg", &[Vector], Variadic::None, Vector),
    stable("delta", &[Matrix], Variadic::None, Vector),
    stable("deriv", &[Matrix], Variadic::None, Vector),
    experimental("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Variadic::None, Vector),
    experimental("end", &[], Variadic::None, Scalar),
    stable("exp", &[Vector], Variadic::None, Vector),
    stable("first_over_time", &[Matrix], Variadic::None, Vector),
    stable("floor", &[Vector], Variadic::None, Vector),
    stable("histogram_avg", &[Vector], Variadic::None, Vector),
    stable("histogram_count", &[Vector], Variadic::None, Vector),
    stable("histogram_fraction", &[Scalar, Scalar, Vector], Variadic::None, Vector),
    stable("histogram_quantile", &[Scalar, Vector], Variadic::None, Vector),
    experimental("histogram_quantiles", &[Vector, String, Scalar, Scalar], Variadic::UpTo(9), Vector),
    stable("histogram_stddev", &[Vector], Variadic::None, Vector),
    stable("histogram_stdvar", &[Vector], Variadic::None, Vector),
    stable("histogram_sum", &[Vector], Variadic::None, Vector),
    stable("hour", &[Vector], Variadic::UpTo(1), Vector),
    stable("idelta", &[Matrix], Variadic::None, Vector),
    stable("increase", &[Matrix], Variadic::None, Vector),
    experimental("info", &[Vector, Vector], Variadic::UpTo(1), Vector),
    stable("irate", &[Matrix], Variadic::None, Vector),
    stable("label_join", &[Vector, String, String, String], Variadic::Unbounded, Vector),
    stable("label_replace", &[Vector, String, String, String, String], Variadic::None, Vector),
    stable("last_over_time", &[Matrix], Variadic::None, Vector),
    stable("ln", &[Vector], Variadic::None, Vector),
    stable("log10", &[Vector], Variadic::None, Vector),
    stable("log2", &[Vector], Variadic::None, Vector),
    experimental("mad_over_time", &[Matrix], Variadic::None, Vector),
    experimental("max_of", &[Scalar, Scalar], Variadic::None, Scalar),
    stable("max_over_time", &[Matrix], Variadic::None, Vector),
    experimental("min_of", &[Scalar, Scalar], Variadic::None, Scalar),
    stable("min_over_time", &[Matrix], Variadic::None, Vector),
    stable("minute", &[Vector], Variadic::UpTo(1), Vector),
    stable("month", &[Vector], Variadic::UpTo(1), Vector),
    stable("pi", &[], Variadic::None, Scalar),
    stable("predict_linear", &[Matrix, Scalar], Variadic::None, Vector),
    stable("present_over_time", &[Matrix], Variadic::None, Vector),
    stable("quantile_over_time", &[Scalar, Matrix], Variadic::None, Vector),
    stable("rad", &[Vector], Variadic::None, Vector),
    experimental("range", &[], Variadic::None, Scalar),
    stable("rate", &[Matrix], Variadic::None, Vector),
    stable("resets", &[Matrix], Variadic::None, Vector),
    stable("round", &[Vector, Scalar], Variadic::UpTo(1), Vector),
    stable("scalar", &[Vector], Variadic::None, Scalar),
    stable("sgn", &[Vector], Variadic::None, Vector),
    stable("sin", &[Vector], Variadic::None, Vector),
    stable("sinh", &[Vector], Variadic::None, Vector),
    stable("sort", &[Vector], Variadic::None, Vector),
    experimental("sort_by_label", &[Vector, String], Variadic::Unbounded, Vector),
    experimental("sort_by_label_desc", &[Vector, String], Variadic::Unbounded, Vector),
    stable("sort_desc", &[Vector], Variadic::None, Vector),
    stable("sqrt", &[Vector], Variadic::None, Vector),
    experimental("start", &[], Variadic::None, Scalar),
    experimental("start_timestamp", &[Vector], Variadic::None, Vector),
    stable("stddev_over_time", &[Matrix], Variadic::None, Vector),
    stable("stdvar_over_time", &[Matrix], Variadic::None, Vector),
    experimental("step", &[], Variadic::None, Scalar),
    stable("sum_over_time", &[Matrix], Variadic::None, Vector),
    stable("tan", &[Vector], Variadic::None, Vector),
    stable("tanh", &[Vector], Variadic::None, Vector),
    stable("time", &[], Variadic::None, Scalar),
    stable("timestamp", &[Vector], Variadic::None, Vector),
    experimental("ts_of_first_over_time", &[Matrix], Variadic::None, Vector),
    experimental("ts_of_last_over_time", &[Matrix], Variadic::None, Vector),
    experimental("ts_of_max_over_time", &[Matrix], Variadic::None, Vector),
    experimental("ts_of_min_over_time", &[Matrix], Variadic::None, Vector),
    stable("vector", &[Scalar], Variadic::None, Vector),
    stable("year", &[Vector], Variadic::UpTo(1), Vector),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_complete() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(FUNCTIONS.len(), 90);
        assert_eq!(function("rate").unwrap().arg_types, [Matrix]);
        assert_eq!(function("label_join").unwrap().variadic, Variadic::Unbounded);
        assert_eq!(function("pi").unwrap().arg_types, []);
        assert!(function("limitk").is_none(), "an aggregation operator is no function");
        assert!(function("").is_none());
    }
}
