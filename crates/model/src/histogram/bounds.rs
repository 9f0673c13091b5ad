//! Where exponential buckets end.

use super::{EXPONENTIAL_SCHEMA_MAX, NativeHistogram};

impl NativeHistogram {
    /// The upper bound of the positive exponential bucket `index` at a resolution: 2^(index · 2^-schema).
    ///
    /// The bits are those of Prometheus, as answers show bounds. The bucket that would end beyond the largest float ends
    /// at it, and the one behind holds the infinities.
    pub fn exponential_bound(index: i32, schema: i32) -> f64 {
        let index = i64::from(index);
        let (fraction, exponent) = if schema < 0 {
            (0.5, (index << schema.unsigned_abs().min(SHIFT_MAX)) + 1)
        } else {
            // There are no bounds between those of the finest schema that is stored.
            let schema = schema.min(EXPONENTIAL_SCHEMA_MAX);
            let place = index & ((1 << schema) - 1);
            (FRACTIONS[(place << (EXPONENTIAL_SCHEMA_MAX - schema)) as usize], (index >> schema) + 1)
        };
        match (fraction, exponent) {
            (0.5, 1025) => f64::MAX,
            _ => scale_by_power_of_two(fraction, exponent),
        }
    }
}

/// `fraction · 2^exponent`, rounded once; `fraction` lies in [0.5, 1).
fn scale_by_power_of_two(fraction: f64, exponent: i64) -> f64 {
    // 2^e for exponents of normal numbers.
    let power = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    match exponent {
        1025.. => f64::INFINITY,
        -1021..=1024 => fraction * 2.0 * power(exponent - 1),
        // Exact up to the last factor, which makes a subnormal number.
        -1080..=-1022 => fraction * power(-1021) * power(exponent + 1021),
        _ => 0.0,
    }
}

/// 2^(i/256) / 2, with the rounding errors that everybody's bounds have: each resolution takes every other bound from
/// the next coarser one and multiplies it by the rounded width of a bucket for the ones between.
const FRACTIONS: [f64; FINEST_BOUNDS] = fractions();

const fn fractions() -> [f64; FINEST_BOUNDS] {
    let mut bounds = [0.5; FINEST_BOUNDS];
    let mut schema = 0;
    while schema < WIDTHS.len() {
        let distance = FINEST_BOUNDS >> (schema + 1);
        let mut place = distance;
        while place < FINEST_BOUNDS {
            bounds[place] = bounds[place - distance] * WIDTHS[schema];
            place += 2 * distance;
        }
        schema += 1;
    }
    bounds
}

/// The ratio of a bucket's bounds for the schemas 1 to 8; the first is the float below the rounded square root of two.
const WIDTHS: [f64; EXPONENTIAL_SCHEMA_MAX as usize] = [
    f64::from_bits(std::f64::consts::SQRT_2.to_bits() - 1),
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

const FINEST_BOUNDS: usize = 1 << EXPONENTIAL_SCHEMA_MAX;

/// Beyond, all bounds but 1 leave the range of floats.
const SHIFT_MAX: u32 = 12;

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

    use super::*;

    #[test]
    fn bounds() {
        let cases = [
            (0, 0, 1.0),
            (3, 0, 8.0),
            (-1, 0, 0.5),
            (1, 1, SQRT_2.next_down()),
            (-1, 1, FRAC_1_SQRT_2.next_down()),
            (1, 8, 1.0027112750502025),
            (255, 8, 2.0 * 0.9972960560854698),
            (-3 * 256 + 170, 8, 0.7922691326262467 / 4.0),
            (1, -4, 65536.0),
            (-1, -1, 0.25),
            (1024, 0, f64::MAX),
            (1025, 0, f64::INFINITY),
            (64, -4, f64::MAX),
            (65, -4, f64::INFINITY),
            (1024 * 256, 8, f64::MAX),
            (-1074, 0, f64::from_bits(1)),
            (-1022, 0, f64::MIN_POSITIVE),
            (-1023, 0, f64::MIN_POSITIVE / 2.0),
            (-1200, 0, 0.0),
            (i32::MAX, -4, f64::INFINITY),
            (i32::MIN, i32::MIN, 0.0),
            (i32::MAX, i32::MAX, f64::INFINITY),
        ];
        for (index, schema, expected) in cases {
            assert_eq!(NativeHistogram::exponential_bound(index, schema), expected, "{index} at {schema}");
        }
    }

    #[test]
    fn resolutions_share_their_bounds_and_bounds_rise() {
        for index in -2000..2000 {
            let bound = NativeHistogram::exponential_bound(index, 8);
            assert!(bound < NativeHistogram::exponential_bound(index + 1, 8));
            assert!((bound.log2() * 256.0 - f64::from(index)).abs() < 1e-9);
            for coarser in 1..=4 {
                let shared = NativeHistogram::exponential_bound(index >> coarser << coarser, 8);
                assert_eq!(NativeHistogram::exponential_bound(index >> coarser, 8 - coarser), shared);
            }
        }
    }
}
