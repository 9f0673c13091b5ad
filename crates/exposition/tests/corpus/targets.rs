//! What the fuzz targets do, so that the corpora are replayed by plain tests, too.

use exposition::{Line, OpenMetrics};

/// A text of several lines. Labels of samples are sorted sets, and only the last line is the end. Says whether all of it was
/// taken.
pub(crate) fn open_metrics(input: &[u8]) -> bool {
    let mut text = OpenMetrics::default();
    let (mut ended, mut good) = (false, true);
    for line in input.strip_suffix(b"\n").unwrap_or(input).split(|byte| *byte == b'\n') {
        let Ok(parsed) = text.parse(line) else {
            good = false;
            continue;
        };
        assert!(!ended, "nothing follows the end");
        match parsed {
            Line::Sample { labels, .. } => {
                assert!(!labels.metric_name().is_empty());
                let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
                assert!(names.is_sorted_by(|left, right| left < right));
            }
            Line::Metadata => {}
            Line::End => ended = true,
        }
    }
    assert_eq!(text.finish().is_ok(), ended);
    good && ended
}
