//! What the fuzz target `metrics_filter` does with its input. Also compiled by `fuzz/`.

use platform_metrics::{FILTER_BYTES_MAX, Filter, FilterError, ResourceType, definition};

/// `$filter` of a request for metrics: a mistake lies inside the text, and what is taken can be written again.
pub(crate) fn metrics_filter(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let dropped = definition(ResourceType::Workspace, "EventsDropped").expect("it is in the table");
    let filter = match Filter::parse(text, dropped) {
        Ok(filter) => filter,
        Err(error) => {
            if let FilterError::Broken { at, .. } = error {
                assert!(text.is_char_boundary(at), "the place of the mistake is in the text");
            }
            assert!(error.to_string().len() < 500, "an answer repeats little of what was sent");
            return false;
        }
    };
    assert!(text.len() <= FILTER_BYTES_MAX);
    assert!(filter.split().count() <= dropped.dimensions.len(), "a dimension splits once");
    let written = filter.to_string();
    if written.len() <= FILTER_BYTES_MAX {
        assert_eq!(Filter::parse(&written, dropped).as_ref(), Ok(&filter), "{written}");
    }
    true
}
