//! Histograms as text, as `count_values` puts them into labels.

use std::fmt;

use super::{Bucket, FloatHistogram};
use crate::float_text::go_float;

impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", go_float(self.count), go_float(self.sum))?;
        let custom = self.has_custom_buckets();
        let mut write = |bucket: Bucket, lowest: bool, closed: bool| match bucket.count == 0.0 {
            true => Ok(()),
            false => {
                let includes_lower = if custom { lowest } else { closed || bucket.lower < 0.0 };
                let includes_upper = custom || closed || bucket.upper > 0.0;
                let open = if includes_lower { '[' } else { '(' };
                let close = if includes_upper { ']' } else { ')' };
                let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(go_float);
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
