//! Which samples are asked for.

use anyhow::{Context, ensure};
use model::{Matcher, TimestampMs};
use promql_syntax::parse_metric_selector;
use storage::TimeRange;

use crate::cli::tsdb::Selection;

/// Matchers and times.
pub(super) fn resolve(selection: &Selection) -> anyhow::Result<(Vec<Matcher>, TimeRange)> {
    let matchers = match selection.matcher.as_deref() {
        Some(text) => parse_metric_selector(text).with_context(|| format!("--match {text:?}"))?,
        None => Vec::new(),
    };
    let start = time("--min-time", selection.min_time.as_deref(), TimestampMs::MIN)?;
    let end = time("--max-time", selection.max_time.as_deref(), TimestampMs::MAX)?;
    ensure!(start <= end, "--max-time is before --min-time");
    Ok((matchers, TimeRange { start, end }))
}

fn time(option: &str, text: Option<&str>, default: TimestampMs) -> anyhow::Result<TimestampMs> {
    let Some(text) = text else { return Ok(default) };
    if let Ok(milliseconds) = text.parse() {
        return Ok(TimestampMs(milliseconds));
    }
    let time: jiff::Timestamp = text.parse().with_context(|| {
        format!("{option} {text:?} is neither milliseconds since 1970 nor a time such as 2026-11-23T12:00:00Z")
    })?;
    Ok(TimestampMs(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(matcher: Option<&str>, min: Option<&str>, max: Option<&str>) -> Selection {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Selection { matcher: own(matcher), min_time: own(min), max_time: own(max), blocks_only: false }
    }

    #[test]
    fn times_and_matchers() {
        let asked = selection(Some("up{job=~\"a|b\"}"), Some("-5"), Some("2024-11-23T11:06:40Z"));
        let (matchers, range) = resolve(&asked).unwrap();
        assert_eq!((matchers.len(), range.start, range.end), (2, TimestampMs(-5), TimestampMs(1_732_360_000_000)));
        assert_eq!(resolve(&selection(None, None, None)).unwrap(), (Vec::new(), TimeRange::ALL));
        for wrong in [
            selection(Some("up{"), None, None),
            selection(None, Some("yesterday"), None),
            selection(None, Some("5"), Some("4")),
        ] {
            resolve(&wrong).unwrap_err();
        }
    }
}
