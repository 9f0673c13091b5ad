//! What Azure drops silently (contract §3.5): the workspace's own bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use model::{Labels, TimestampMs};
use quota::{Dropped, EventReason, SampleReason};

/// How far ahead of now samples are taken, at most and in any profile. Storage must take them that far.
pub const NEWEST_TAKEN: Duration = Duration::from_secs(20 * 60);

/// Times of samples that Azure takes: 20 minutes on both sides of now.
pub(crate) fn window(now: TimestampMs) -> RangeInclusive<TimestampMs> {
    now.plus(-WINDOW_MS)..=now.plus(WINDOW_MS)
}

/// How Azure counts a sample outside its window.
pub(crate) fn outside_window(at: TimestampMs, now: TimestampMs) -> Dropped {
    match at < now {
        true => Dropped::Event(EventReason::OldData),
        false => Dropped::Sample(SampleReason::InvalidTimeRange),
    }
}

/// Whether Azure would drop a series because of its labels.
pub(crate) fn has_bad_format(labels: &Labels) -> bool {
    let too_long = |(name, value): (&str, &str)| {
        let value_max = if name == model::METRIC_NAME { NAME_CHARS_MAX } else { VALUE_CHARS_MAX };
        longer_than(name, NAME_CHARS_MAX) || longer_than(value, value_max)
    };
    labels.len() > LABELS_MAX || labels.iter().any(too_long) || has_names_equal_but_for_case(labels)
}

fn longer_than(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

fn has_names_equal_but_for_case(labels: &Labels) -> bool {
    let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
    names
        .iter()
        .enumerate()
        .any(|(index, name)| names[index + 1..].iter().any(|other| name.eq_ignore_ascii_case(other)))
}

const WINDOW_MS: i64 = NEWEST_TAKEN.as_millis() as i64;
const LABELS_MAX: usize = 63;
const NAME_CHARS_MAX: usize = 511;
const VALUE_CHARS_MAX: usize = 1023;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_of_twenty_minutes() {
        let now = TimestampMs(10_000_000);
        for (ms, reason) in [
            (-1_200_001, Some("OldData")),
            (-1_200_000, None),
            (0, None),
            (1_200_000, None),
            (1_200_001, Some("InvalidTimeRange")),
        ] {
            let at = now.plus(ms);
            let found = (!window(now).contains(&at)).then(|| outside_window(at, now).reason());
            assert_eq!(found, reason, "{ms}");
        }
    }

    #[test]
    fn label_bounds() {
        let many = |count: usize| (0..count).map(|index| (format!("l{index}"), "v".to_owned())).collect::<Vec<_>>();
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for (pairs, bad) in [
            (many(63), false),
            (many(64), true),
            (one("a", &"ä".repeat(1023)), false),
            (one("a", &"v".repeat(1024)), true),
            (one(&"n".repeat(512), "v"), true),
            (one("__name__", &"n".repeat(511)), false),
            (one("__name__", &"n".repeat(512)), true),
            ([one("job", "a"), one("Job", "b")].concat(), true),
        ] {
            let labels = Labels::from_pairs(pairs).unwrap();
            assert_eq!(has_bad_format(&labels), bad, "{} labels", labels.len());
        }
    }
}
