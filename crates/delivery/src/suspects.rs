//! Which series of a refused request are the likely reason: those that break a limit that receivers are known to have.
//!
//! Nothing is refused for being on this list; it only decides what is sent apart first.

use std::collections::HashSet;

use environment::UnixTime;
use model::METRIC_NAME;
use remote_write::{BlockLabels, Item, Limits, Request, Series, Version};

/// For each series of a message whether it is suspected. Shorter than the request when the message is broken behind there.
pub(crate) fn by_limits(version: Version, message: &[u8], limits: &Limits, now: UnixTime) -> Vec<bool> {
    let mut suspects = Vec::new();
    let Ok(request) = Request::parse(version, message, limits) else { return suspects };
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    while let Ok(Some(item)) = walk.next_item() {
        match item {
            Item::Series(series) => suspects.push(has_odd_labels(&series) || has_odd_times(&series, now)),
            Item::Refused(refused) if refused.series.is_some() => suspects.push(true),
            Item::Refused(_) | Item::Family(_) => {}
        }
    }
    suspects
}

fn has_odd_labels(series: &Series<'_>) -> bool {
    let mut folded = HashSet::new();
    let mut previous: Option<String> = None;
    let (mut count, mut named) = (0, false);
    for label in BlockLabels::new(series.label_block()) {
        let Ok((name, value)) = label else { return true };
        count += 1;
        named |= name == METRIC_NAME && !value.is_empty();
        let unsorted = previous.as_deref().is_some_and(|previous| previous >= name);
        let too_long = name.len() > NAME_BYTES_MAX || value.len() > VALUE_BYTES_MAX;
        if count > LABELS_MAX || too_long || unsorted || !is_plain(name) || !folded.insert(name.to_ascii_lowercase()) {
            return true;
        }
        previous = Some(name.to_owned());
    }
    !named
}

fn has_odd_times(series: &Series<'_>, now: UnixTime) -> bool {
    let oldest = now.as_millis() - WINDOW_MS;
    let newest = now.as_millis() + WINDOW_MS;
    let outside = |at: i64| at < oldest || at > newest;
    let mut last = i64::MIN;
    series.samples().any(|sample| {
        sample.is_err()
            || sample.is_ok_and(|sample| {
                let at = sample.timestamp.0;
                outside(at) || std::mem::replace(&mut last, at) >= at
            })
    }) || series.histograms().any(|sample| sample.is_err() || sample.is_ok_and(|sample| outside(sample.timestamp.0)))
}

/// A name as every receiver takes it.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

// Azure Monitor's limits: labels of a series, bytes of a name and of a value, distance from now.
const LABELS_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 511;
const VALUE_BYTES_MAX: usize = 1023;
const WINDOW_MS: i64 = 20 * 60 * 1000;

#[cfg(test)]
mod tests {
    use model::{Labels, TimestampMs};
    use remote_write::{Encoder, Sample};

    use super::*;

    const NOW: UnixTime = UnixTime::from_millis(1_800_000_000_000);

    fn check(labels: &[(&str, &str)], offsets_ms: &[i64], expected: bool) {
        for version in [Version::V1, Version::V2] {
            let mut encoder = Encoder::new(version);
            let mut series = encoder.series(&Labels::from_pairs(labels.iter().copied()).unwrap());
            for offset in offsets_ms {
                series.sample(Sample::new(TimestampMs(NOW.as_millis() + offset), 1.0));
            }
            let message = encoder.finish();
            assert_eq!(by_limits(version, &message, &Limits::default(), NOW), [expected], "{labels:?} {offsets_ms:?}");
        }
    }

    #[test]
    fn limits_that_receivers_have() {
        let long = "x".repeat(1024);
        let many: Vec<_> = (0..63).map(|index| format!("l{index:02}")).collect();
        let many: Vec<_> = [("__name__", "up")].into_iter().chain(many.iter().map(|name| (&**name, "v"))).collect();
        check(&[("__name__", "up"), ("job", "a")], &[0, 15_000], false);
        check(&many[..63], &[0], false);
        check(&many, &[0], true);
        check(&[("job", "a")], &[0], true);
        check(&[("__name__", "up"), (&long[..511], "v")], &[0], false);
        check(&[("__name__", "up"), (&long[..512], "v")], &[0], true);
        check(&[("__name__", "up"), ("a", &long[..1023])], &[0], false);
        check(&[("__name__", "up"), ("a", &long)], &[0], true);
        check(&[("Job", "a"), ("__name__", "up"), ("job", "a")], &[0], true);
        check(&[("__name__", "up"), ("a.b", "x")], &[0], true);
        check(&[("__name__", "up")], &[-WINDOW_MS], false);
        check(&[("__name__", "up")], &[-WINDOW_MS - 1], true);
        check(&[("__name__", "up")], &[WINDOW_MS + 1], true);
        check(&[("__name__", "up")], &[10, 5], true);
    }

    #[test]
    fn a_broken_message_has_no_suspects() {
        assert!(by_limits(Version::V1, b"\xff", &Limits::default(), NOW).is_empty());
    }
}
