//! Floats as Prometheus prints them: into labels, and into what it tells the user.

/// A float as Prometheus writes it into labels and messages: shortest, without exponent.
pub(crate) fn float_text(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}

/// A float as Go's `%g` and `%v` print it into messages: shortest, with an exponent when that is below -4 or above 5.
pub(crate) fn go_float(value: f64) -> String {
    with_exponent_from(6, value)
}

/// A float as Go's `%.2g` prints it.
pub(crate) fn go_float_of_two_digits(value: f64) -> String {
    let rounded = format!("{value:.1e}").parse().expect("a float in scientific notation is a float");
    with_exponent_from(2, rounded)
}

/// The shortest digits, with an exponent when that is below -4 or at least `exponent_min`.
fn with_exponent_from(exponent_min: i32, value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ if value.is_nan() || value == 0.0 => value.to_string(),
        _ => {
            let scientific = format!("{value:e}");
            let (digits, exponent) = scientific.split_once('e').expect("`e` prints an exponent");
            let exponent: i32 = exponent.parse().expect("the exponent is a number");
            match (-4..exponent_min).contains(&exponent) {
                true => value.to_string(),
                false => {
                    let sign = if exponent < 0 { '-' } else { '+' };
                    format!("{digits}e{sign}{:02}", exponent.abs())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_where_go_has_them() {
        for (value, shortest, two_digits) in [
            (0.0, "0", "0"),
            (0.000123, "0.000123", "0.00012"),
            (0.0000123, "1.23e-05", "1.2e-05"),
            (82.4, "82.4", "82"),
            (99.6, "99.6", "1e+02"),
            (3312.0, "3312", "3.3e+03"),
            (-123456.0, "-123456", "-1.2e+05"),
            (1e6, "1e+06", "1e+06"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            assert_eq!((go_float(value).as_str(), go_float_of_two_digits(value).as_str()), (shortest, two_digits));
        }
    }
}
