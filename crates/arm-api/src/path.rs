//! Paths of requests → segments, decoded once.
//!
//! What is accepted here is what rights are asked for and what is looked up later: there is no second reading of a path. So
//! everything that two readers could take differently (`..`, an encoded slash, a second encoding, control characters) is
//! refused instead of mended.

use percent_encoding::percent_decode_str;

/// Segments of a path, decoded; none is empty, `.` or `..`, and none holds a character of [`REFUSED`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Path {
    segments: Vec<String>,
}

/// Why a path is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooDeep,
    #[error("segment {0} of the path is empty: two slashes follow each other")]
    Empty(usize),
    #[error("segment {0} of the path is `.` or `..`, which are not followed here")]
    Dots(usize),
    #[error("segment {0} of the path is longer than {SEGMENT_BYTES_MAX} bytes")]
    LongSegment(usize),
    #[error("segment {0} of the path is not UTF-8 once it is decoded")]
    Utf8(usize),
    #[error(
        "segment {segment} of the path has the character {character:?}, which no name here has (paths are decoded once)"
    )]
    Character { segment: usize, character: char },
}

impl Path {
    /// Reads the path of a request. Up to three slashes may stand in front (clients put a scope that begins with one behind
    /// a slash of their own) and one behind; behind a provider's name there may be two (clients of any type of resource put the
    /// parent's path there, which is empty for most).
    pub(crate) fn parse(raw: &str) -> Result<Self, PathError> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let raw = strip_leading(raw);
        let raw = raw.strip_suffix('/').unwrap_or(raw);
        if raw.is_empty() {
            return Ok(Self::default());
        }
        if raw.split('/').count() > SEGMENTS_MAX {
            return Err(PathError::TooDeep);
        }
        let mut segments: Vec<String> = Vec::new();
        for (index, segment) in raw.split('/').enumerate() {
            let parent = segments.len() >= 2 && segments[segments.len() - 2].eq_ignore_ascii_case("providers");
            // One only: the one after it stands behind an index that this one did not raise.
            if segment.is_empty() && parent && index == segments.len() {
                continue;
            }
            segments.push(decode(index + 1, segment)?);
        }
        Ok(Self { segments })
    }

    /// Its segments.
    pub(crate) fn segments(&self) -> &[String] {
        &self.segments
    }
}

/// The first segment, for deciding who answers; as it was written.
pub(crate) fn first_segment(raw: &str) -> &str {
    strip_leading(raw).split('/').next().unwrap_or("")
}

fn strip_leading(raw: &str) -> &str {
    let slashes = raw.bytes().take(LEADING_SLASHES_MAX).take_while(|byte| *byte == b'/').count();
    &raw[slashes..]
}

fn decode(segment: usize, raw: &str) -> Result<String, PathError> {
    if raw.is_empty() {
        return Err(PathError::Empty(segment));
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| PathError::Utf8(segment))?.into_owned();
    if text == "." || text == ".." {
        return Err(PathError::Dots(segment));
    }
    if text.len() > SEGMENT_BYTES_MAX {
        return Err(PathError::LongSegment(segment));
    }
    match text.chars().find(|character| character.is_control() || REFUSED.contains(character)) {
        Some(character) => Err(PathError::Character { segment, character }),
        None => Ok(text),
    }
}

/// Characters that mean something in paths, queries or markup, or show that a segment was encoded twice.
const REFUSED: &[char] = &['/', '\\', '%', '?', '#', '<', '>', '"', '&', ';'];

/// Bound on a path as it was sent.
const PATH_BYTES_MAX: usize = 4096;
/// Bound on its depth: a child of a child resource, with an extension resource behind it, has 14.
const SEGMENTS_MAX: usize = 24;
/// Bound on a segment: Azure's longest names have 260 characters.
const SEGMENT_BYTES_MAX: usize = 260;
const LEADING_SLASHES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let long = format!("/{}", "a".repeat(261));
        for (raw, expected) in [
            ("/", Ok(vec![])),
            ("/subscriptions", Ok(vec!["subscriptions"])),
            ("//subscriptions/s/", Ok(vec!["subscriptions", "s"])),
            ("/a/b%20c/%C3%A4", Ok(vec!["a", "b c", "ä"])),
            ("/a//b", Err(PathError::Empty(2))),
            ("/providers/P//t/n", Ok(vec!["providers", "P", "t", "n"])),
            ("/a/Providers/P//t", Ok(vec!["a", "Providers", "P", "t"])),
            ("/providers/P///t", Err(PathError::Empty(4))),
            ("/providers//t", Err(PathError::Empty(2))),
            ("/providers/P/t//n", Err(PathError::Empty(4))),
            ("/providers/P//t/providers/Q//n", Err(PathError::Empty(7))),
            ("////a", Err(PathError::Empty(1))),
            ("/a/b//", Err(PathError::Empty(3))),
            ("/a/../b", Err(PathError::Dots(2))),
            ("/a/%2e%2E", Err(PathError::Dots(2))),
            ("/a/%2e/b", Err(PathError::Dots(2))),
            ("/a/b%2fc", Err(PathError::Character { segment: 2, character: '/' })),
            ("/a/b%252fc", Err(PathError::Character { segment: 2, character: '%' })),
            ("/a/b%5cc", Err(PathError::Character { segment: 2, character: '\\' })),
            ("/a/b%00", Err(PathError::Character { segment: 2, character: '\0' })),
            ("/a/b%zz", Err(PathError::Character { segment: 2, character: '%' })),
            ("/a/%ff", Err(PathError::Utf8(2))),
            (&long, Err(PathError::LongSegment(1))),
            (&"/a".repeat(25), Err(PathError::TooDeep)),
            (&"/a".repeat(2049), Err(PathError::TooLong)),
        ] {
            let found = Path::parse(raw).map(|path| path.segments);
            assert_eq!(found, expected.map(|segments| segments.into_iter().map(str::to_owned).collect()), "{raw}");
        }
    }
}
