//! What must hold for any input. Shared with the fuzz targets; answers whether the input is taken.

use arm_api::{ArmApi, reading};
use environment::UnixTime;

/// A method, a space, and a path.
pub(crate) fn arm_path(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let (method, raw) = text.split_once(' ').unwrap_or(("GET", text));
    let Some(read) = reading::path(method, raw) else { return false };
    let id = read.id.as_str();
    assert!(ArmApi::serves(raw) || raw.contains('%'), "{raw}: only an encoded first segment is left to others");
    assert!(id.len() <= 8192, "{} bytes of path became {}", raw.len(), id.len());
    for segment in id.split('/').skip(1) {
        assert!(!matches!(segment, "" | "." | ".."), "{id}");
        let refused = |c: char| c.is_control() || "\\%?#<>\"&;".contains(c);
        assert!(!segment.contains(refused), "{id}");
    }
    if let Some(scope) = &read.scope {
        assert!(scope.covers(&read.id), "{scope} does not cover {id}");
        assert!(scope.as_str() == "/" || scope.as_str().len() < id.len());
    }
    // What was understood is understood the same when it is written out.
    let again = reading::path(method, &escaped(id)).expect("a path that was understood is one");
    assert_eq!(again, read);
    assert_eq!(again.id.as_str(), id);
    true
}

/// A body, as one of any kind.
pub(crate) fn arm_body(input: &[u8]) -> bool {
    let mut taken = false;
    for kind in reading::body_kinds() {
        match reading::body(kind, input) {
            Ok(kept) => {
                taken = true;
                let text = kept.to_string();
                // What was kept is kept whole when it is sent again.
                assert_eq!(reading::body(kind, text.as_bytes()), Ok(kept), "{kind}");
            }
            Err(problems) => {
                assert!((1..=100).contains(&problems.len()), "{kind}: {} problems", problems.len());
                for (target, message) in problems {
                    assert!(
                        target.len() <= 1200 && message.len() <= 1000 && !message.is_empty(),
                        "{kind}: {target} {message}"
                    );
                }
            }
        }
    }
    taken
}

/// A `$filter`.
pub(crate) fn arm_filter(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    match reading::filter(text) {
        Ok(holds) => {
            // Parentheses change nothing and `not` turns it round, unless they make it too long or too deep.
            if let Ok(same) = reading::filter(&format!("({text})")) {
                assert_eq!(same, holds, "{text}");
            }
            if let Ok(other) = reading::filter(&format!("not ({text})")) {
                assert_eq!(other, holds.map(|holds| !holds), "{text}");
            }
            if let Ok(twice) = reading::filter(&format!("({text}) and ({text})")) {
                assert_eq!(twice, holds, "{text}");
            }
            true
        }
        Err(message) => {
            assert!(!message.is_empty() && message.len() <= 400, "{} bytes of message", message.len());
            false
        }
    }
}

/// A timespan of metrics, read on 2026-11-23.
pub(crate) fn arm_timespan(input: &[u8]) -> bool {
    let now = UnixTime::from_secs(1_795_435_200);
    let Some((start, end, written)) = std::str::from_utf8(input).ok().and_then(|text| reading::timespan(text, now))
    else {
        return false;
    };
    assert!(start <= end, "{written}");
    // Written out it is the same, to the second; one shorter than that is none any more.
    if start < end {
        assert_eq!(reading::timespan(&written, now), Some((start, end, written.clone())));
    }
    true
}

fn escaped(id: &str) -> String {
    let mut text = String::new();
    for byte in id.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02x}")),
        }
    }
    text
}
