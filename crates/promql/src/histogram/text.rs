//! Histograms as text, as `count_values` puts them into labels.

use std::fmt;

use super::{Bucket, FloatHistogram};

impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", shortest(self.count), shortest(self.sum))?;
        let custom = self.has_custom_buckets();
        let mut write = |bucket: Bucket, lowest: bool, closed: bool| match bucket.count == 0.0 {
            true => Ok(()),
            false => {
                let includes_lower = if custom { lowest } else { closed || bucket.lower < 0.0 };
                let includes_upper = custom || closed || bucket.upper > 0.0;
                let open = if includes_lower { '[' } else { '(' };
                let close = if includes_upper { ']' } else { ')' };
                let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(shortest);
                write!(f, ", {open}{lower},{upper}{close}:{count}")
            }
        };
        for (index, count) in self.negative.iter_back() {
            write(self.negative_bucket(index, count), false, false)?;
        }
        write(self.zero_bucket(), false, true)?;
        for (index, count) in self.positive.iter() {
            write(self.positive_bucket(index, count), index == 0, false)?;
        }
        f.write_str("}")
    }
}

/// A float in the fewest digits, as Go's `%g` writes it: with an exponent below 1e-4 and from 1e6 on.
pub(super) fn shortest(value: f64) -> String {
    match value {
        f64::INFINITY => return "+Inf".into(),
        f64::NEG_INFINITY => return "-Inf".into(),
        value if value.is_nan() => return "NaN".into(),
        _ => {}
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent of a float is a small number");
    match exponent {
        -4..=5 => value.to_string(),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}
