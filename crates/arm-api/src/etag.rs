//! `If-Match` and `If-None-Match` → the state a resource must be in.

use catalog::Precondition;
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use model::ErrorKind;

use crate::error::ArmError;

/// What the headers ask of a resource that is to be changed.
pub(crate) fn precondition(headers: &HeaderMap) -> Result<Precondition, ArmError> {
    match (one(headers, &IF_MATCH)?, one(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::Exists),
        (Some(tag), None) => Ok(Precondition::Match(unquoted(tag, &IF_MATCH)?.to_owned())),
        (None, Some("*")) => Ok(Precondition::Absent),
        (None, Some(_)) => Err(invalid(&IF_NONE_MATCH, "only `*` (it does not exist yet) is understood for a change")),
        (Some(_), Some(_)) => Err(invalid(&IF_NONE_MATCH, "it cannot go together with If-Match")),
    }
}

/// What a change of a part asks for, so that the rest is as it was read: the state that was read, unless the caller names
/// one.
pub(crate) fn pinned(asked: &Precondition, read: &str) -> Precondition {
    match asked {
        Precondition::None | Precondition::Exists => Precondition::Match(read.to_owned()),
        Precondition::Match(_) | Precondition::Absent => asked.clone(),
    }
}

/// Others changed the resource between reading and writing, each time.
pub(crate) fn overtaken() -> ArmError {
    let message = "The resource is being changed by others all the time: read it again and repeat the change.";
    ArmError::new(ErrorKind::Conflict, "Conflict", message)
}

/// How often a change is tried when others come between reading and writing.
pub(crate) const ATTEMPTS_MAX: usize = 5;

fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ArmError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    // An empty header is how some clients say that they ask for nothing.
    text.map(|text| Some(text.trim()).filter(|text| !text.is_empty()))
        .ok_or_else(|| invalid(name, "one etag is expected"))
}

fn unquoted<'t>(tag: &'t str, name: &HeaderName) -> Result<&'t str, ArmError> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let bare = match tag.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or_else(|| invalid(name, "the etag's closing quote is missing"))?,
        None => tag,
    };
    if bare.contains(['"', ',']) { Err(invalid(name, "one etag is expected")) } else { Ok(bare) }
}

fn invalid(name: &HeaderName, why: &str) -> ArmError {
    ArmError::bad_request("InvalidHeaderValue", format!("The header '{name}' is invalid: {why}."))
        .with_target(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preconditions() {
        let check = |pairs: &[(&HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append((*name).clone(), value.parse().unwrap());
            }
            precondition(&headers).ok()
        };
        let tag = |text: &str| Some(Precondition::Match(text.to_owned()));
        for (pairs, expected) in [
            (&[][..], Some(Precondition::None)),
            (&[(&IF_MATCH, "*")], Some(Precondition::Exists)),
            (&[(&IF_MATCH, "\"a-1\"")], tag("a-1")),
            (&[(&IF_MATCH, "a-1")], tag("a-1")),
            (&[(&IF_MATCH, "W/\"a-1\"")], tag("a-1")),
            (&[(&IF_MATCH, "")], Some(Precondition::None)),
            (&[(&IF_NONE_MATCH, "*")], Some(Precondition::Absent)),
            (&[(&IF_NONE_MATCH, "\"a\"")], None),
            (&[(&IF_MATCH, "\"a\", \"b\"")], None),
            (&[(&IF_MATCH, "\"a")], None),
            (&[(&IF_MATCH, "a"), (&IF_MATCH, "b")], None),
            (&[(&IF_MATCH, "*"), (&IF_NONE_MATCH, "*")], None),
        ] {
            assert_eq!(check(pairs), expected, "{pairs:?}");
        }
    }
}
