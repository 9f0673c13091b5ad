//! Functions of single values.

use std::f64::consts::PI;

use crate::calendar::CalendarPart;
use crate::statistics::{max_or_nan, min_or_nan};

/// A function of one float, with scalar arguments apart. Histograms are left out of its result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueFunction {
    /// Without arguments.
    Plain(fn(f64) -> f64),
    Calendar(CalendarPart),
    Clamp,
    ClampMax,
    ClampMin,
    /// To the nearest multiple, of 1 when the argument is left out.
    Round,
}

impl ValueFunction {
    /// The function of that name; `None` for one that is not of this kind or not known here.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "abs" => Self::Plain(f64::abs),
            "acos" => Self::Plain(f64::acos),
            "acosh" => Self::Plain(f64::acosh),
            "asin" => Self::Plain(f64::asin),
            "asinh" => Self::Plain(f64::asinh),
            "atan" => Self::Plain(f64::atan),
            "atanh" => Self::Plain(f64::atanh),
            "ceil" => Self::Plain(f64::ceil),
            "cos" => Self::Plain(f64::cos),
            "cosh" => Self::Plain(cosh),
            "deg" => Self::Plain(|value| value * 180.0 / PI),
            "exp" => Self::Plain(f64::exp),
            "floor" => Self::Plain(f64::floor),
            "ln" => Self::Plain(f64::ln),
            "log10" => Self::Plain(f64::log10),
            "log2" => Self::Plain(f64::log2),
            "rad" => Self::Plain(|value| value * PI / 180.0),
            "sgn" => Self::Plain(sign),
            "sin" => Self::Plain(f64::sin),
            "sinh" => Self::Plain(sinh),
            "sqrt" => Self::Plain(f64::sqrt),
            "tan" => Self::Plain(f64::tan),
            "tanh" => Self::Plain(f64::tanh),
            "day_of_month" => Self::Calendar(CalendarPart::DayOfMonth),
            "day_of_week" => Self::Calendar(CalendarPart::DayOfWeek),
            "day_of_year" => Self::Calendar(CalendarPart::DayOfYear),
            "days_in_month" => Self::Calendar(CalendarPart::DaysInMonth),
            "hour" => Self::Calendar(CalendarPart::Hour),
            "minute" => Self::Calendar(CalendarPart::Minute),
            "month" => Self::Calendar(CalendarPart::Month),
            "year" => Self::Calendar(CalendarPart::Year),
            "clamp" => Self::Clamp,
            "clamp_max" => Self::ClampMax,
            "clamp_min" => Self::ClampMin,
            "round" => Self::Round,
            _ => return None,
        })
    }

    /// Whether there is no result at all with these arguments.
    pub(crate) fn is_empty_for(self, arguments: &[f64]) -> bool {
        matches!((self, arguments), (Self::Clamp, [min, max]) if max < min)
    }

    #[inline]
    pub(crate) fn of(self, value: f64, arguments: &[f64]) -> f64 {
        match (self, arguments) {
            (Self::Plain(function), _) => function(value),
            (Self::Calendar(part), _) => part.of(value),
            (Self::Clamp, [min, max, ..]) => max_or_nan(*min, min_or_nan(*max, value)),
            (Self::ClampMax, [max, ..]) => min_or_nan(*max, value),
            (Self::ClampMin, [min, ..]) => max_or_nan(*min, value),
            (Self::Round, [nearest, ..]) => round(value, *nearest),
            (Self::Round, []) => round(value, 1.0),
            (Self::Clamp | Self::ClampMax | Self::ClampMin, _) => {
                unreachable!("the parser checks the number of arguments")
            }
        }
    }
}

fn sign(value: f64) -> f64 {
    match () {
        () if value < 0.0 => -1.0,
        () if value > 0.0 => 1.0,
        () => value,
    }
}

/// Of large values as Prometheus computes it: infinite as soon as the exponential is, at half of what would still fit.
fn sinh(value: f64) -> f64 {
    if value.abs() > EXPONENTIAL_ALONE { (value.abs().exp() * 0.5).copysign(value) } else { value.sinh() }
}

/// As [`sinh`].
fn cosh(value: f64) -> f64 {
    if value.abs() > EXPONENTIAL_ALONE { value.abs().exp() * 0.5 } else { value.cosh() }
}

/// From here on the other half of hyperbolic functions is too small to be seen.
const EXPONENTIAL_ALONE: f64 = 21.0;

/// Ties go up. Multiplying by the inverse loses less than dividing, and is what Prometheus does.
fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let cases: [(&str, f64, &[f64], f64); 15] = [
            ("round", 2.5, &[], 3.0),
            ("round", -2.5, &[], -2.0),
            ("round", 17.0, &[5.0], 15.0),
            ("clamp", 7.0, &[0.0, 5.0], 5.0),
            ("clamp_min", -7.0, &[0.0], 0.0),
            ("clamp_max", f64::INFINITY, &[3.0], 3.0),
            ("sgn", -0.5, &[], -1.0),
            ("deg", PI, &[], 180.0),
            ("ceil", 0.1, &[], 1.0),
            ("year", 0.0, &[], 1970.0),
            ("sinh", 710.0, &[], f64::INFINITY),
            ("sinh", -710.0, &[], f64::NEG_INFINITY),
            ("sinh", -0.0, &[], -0.0),
            ("cosh", -710.0, &[], f64::INFINITY),
            ("cosh", 0.0, &[], 1.0),
        ];
        for (name, value, arguments, expected) in cases {
            assert_eq!(ValueFunction::named(name).unwrap().of(value, arguments), expected, "{name}({value})");
        }
        assert!(ValueFunction::Clamp.is_empty_for(&[2.0, 1.0]));
        assert!(ValueFunction::ClampMin.of(1.0, &[f64::NAN]).is_nan());
        assert!(ValueFunction::named("rate").is_none());
    }
}
