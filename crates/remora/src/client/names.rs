//! Kinds of resources, their api-versions, and paths.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A kind of resource that people name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    /// `{provider namespace}/{type}`.
    pub(crate) resource_type: &'static str,
    /// Version of the interface that is spoken.
    pub(crate) api_version: &'static str,
    /// In sentences.
    pub(crate) noun: &'static str,
    /// The command for it.
    pub(crate) command: &'static str,
    /// JSON pointer to an identity that people may give in place of the name.
    pub(crate) identity: &'static str,
}

/// Azure Monitor workspaces.
pub(crate) const WORKSPACE: Kind = Kind {
    resource_type: "Microsoft.Monitor/accounts",
    api_version: "2025-10-03",
    noun: "workspace",
    command: "workspace",
    identity: "/properties/accountId",
};

/// Data collection endpoints.
pub(crate) const ENDPOINT: Kind = Kind {
    resource_type: "Microsoft.Insights/dataCollectionEndpoints",
    api_version: "2023-03-11",
    noun: "endpoint",
    command: "endpoint",
    identity: "/properties/immutableId",
};

/// Data collection rules.
pub(crate) const RULE: Kind = Kind {
    resource_type: "Microsoft.Insights/dataCollectionRules",
    api_version: "2023-03-11",
    noun: "rule",
    command: "rule",
    identity: "/properties/immutableId",
};

/// User-assigned managed identities.
pub(crate) const IDENTITY: Kind = Kind {
    resource_type: "Microsoft.ManagedIdentity/userAssignedIdentities",
    api_version: "2023-01-31",
    noun: "managed identity",
    command: "identity",
    identity: "/properties/clientId",
};

impl Kind {
    /// Its id in a resource group, percent-encoded.
    pub(crate) fn id_in(&self, subscription: &str, group: &str, name: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{}/{}",
            encode(subscription),
            encode(group),
            self.resource_type,
            encode(name)
        )
    }
}

/// Versions of the interfaces to what is no kind of resource.
pub(crate) mod versions {
    pub(crate) const BACKUPS: &str = "2026-11-01";
    pub(crate) const SUBSCRIPTIONS: &str = "2022-12-01";
    pub(crate) const RESOURCE_GROUPS: &str = "2024-11-01";
    pub(crate) const ROLE_ASSIGNMENTS: &str = "2022-04-01";
    pub(crate) const METADATA: &str = "2022-09-01";
    pub(crate) const ACTIVITY_LOG: &str = "2015-04-01";
}

/// One segment of a path, or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// An ARM id as a path: every segment encoded, slashes kept.
pub(crate) fn encode_id(id: &str) -> String {
    id.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// The segment of an ARM id after the one called `key`.
pub(crate) fn segment_after<'a>(id: &'a str, key: &str) -> &'a str {
    let mut segments = id.split('/');
    let found = segments.find(|segment| segment.eq_ignore_ascii_case(key));
    found.and_then(|_| segments.next()).unwrap_or("")
}

/// All but what RFC 3986 leaves unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(
            WORKSPACE.id_in("s", "a/../b", "x?y#z"),
            "/subscriptions/s/resourceGroups/a%2F..%2Fb/providers/Microsoft.Monitor/accounts/x%3Fy%23z"
        );
        assert_eq!(encode_id("/a b/c%d"), "/a%20b/c%25d");
        assert_eq!(encode("roleName eq 'Ö'"), "roleName%20eq%20%27%C3%96%27");
    }

    #[test]
    fn segments_are_found_whatever_their_case() {
        let id = "/subscriptions/s/resourcegroups/G/providers/microsoft.monitor/accounts/w";
        assert_eq!(segment_after(id, "resourceGroups"), "G");
        assert_eq!(segment_after(id, "Accounts"), "w");
        assert_eq!(segment_after(id, "w"), "");
    }
}
