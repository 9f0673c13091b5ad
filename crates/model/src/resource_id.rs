//! Azure resource identifiers, which are also the scopes of role assignments.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path such as `/subscriptions/…/resourceGroups/…/providers/Microsoft.Monitor/accounts/…`; `/` is the root scope.
///
/// Compared without regard to case, as Azure does; printed as it was written. Invariant: starts with `/`, has no empty
/// segment and no trailing slash (but for the root itself).
#[derive(Clone)]
pub struct ResourceId(Box<str>);

/// Text that is no resource identifier.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not a resource id: it must start with `/` and have no empty segment")]
pub struct ResourceIdError(String);

impl ResourceId {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this scope or lies below it, as rights are inherited.
    pub fn covers(&self, other: &Self) -> bool {
        let (own, other) = (self.0.trim_end_matches('/').as_bytes(), other.0.as_bytes());
        match other.get(..own.len()) {
            Some(start) => start.eq_ignore_ascii_case(own) && matches!(other.get(own.len()), None | Some(b'/')),
            None => false,
        }
    }

    /// The last segment: the resource's name. Empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The segment after the one called `key` (`subscriptions`, `resourceGroups`), if there is one.
    pub fn segment_after(&self, key: &str) -> Option<&str> {
        let mut segments = self.0.split('/');
        segments.find(|segment| segment.eq_ignore_ascii_case(key))?;
        segments.next()
    }
}

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, ResourceIdError> {
        let segments_full =
            text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|segment| !segment.is_empty()));
        if text == "/" || segments_full { Ok(Self(text.into())) } else { Err(ResourceIdError(text.to_owned())) }
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ResourceId {}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ResourceId {
        text.parse().unwrap()
    }

    #[test]
    fn scopes_cover_what_lies_below() {
        for (scope, resource, covers) in [
            ("/", "/subscriptions/s/resourceGroups/g", true),
            ("/subscriptions/s", "/SUBSCRIPTIONS/S/resourcegroups/g", true),
            ("/subscriptions/s/resourceGroups/g", "/subscriptions/s/resourceGroups/g", true),
            ("/subscriptions/s/resourceGroups/g", "/subscriptions/s/resourceGroups/g2", false),
            ("/subscriptions/s/resourceGroups/g/providers/p/t/n", "/subscriptions/s/resourceGroups/g", false),
        ] {
            assert_eq!(id(scope).covers(&id(resource)), covers, "{scope} covers {resource}");
        }
    }

    #[test]
    fn parts() {
        let rule = id("/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Insights/dataCollectionRules/r1");
        assert_eq!(rule.name(), "r1");
        assert_eq!(rule.segment_after("SUBSCRIPTIONS"), Some("s1"));
        assert_eq!(rule.segment_after("none"), None);
    }

    #[test]
    fn refuses_broken_paths() {
        for text in ["", "subscriptions/s", "/a//b", "/a/"] {
            assert!(text.parse::<ResourceId>().is_err(), "{text:?}");
        }
    }
}
