//! Spans of time as people write them: `90s`, `10m`, `12h`, `14d`.

use std::time::Duration;

/// Reads one number with its unit.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit())?);
    let seconds_each = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let seconds = digits.parse::<u64>().ok()?.checked_mul(seconds_each)?;
    (seconds <= SECONDS_MAX).then(|| Duration::from_secs(seconds))
}

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// A hundred years: whatever is longer is a mistake, and sums of times stay far from every end.
const SECONDS_MAX: u64 = 100 * 365 * 86_400;

/// What to write.
pub(crate) const FORM: &str = "write a number and its unit: 90s, 10m, 12h, 14d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("12h", 43_200), ("14d", 1_209_600)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "10", "m", "1.5h", "-1s", "10 m", "10min", "99999999999999999999s", "999999999999d", "36501d"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
