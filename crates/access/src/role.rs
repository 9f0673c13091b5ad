//! Role definitions: named sets of permitted actions, with Azure's built-in ones.

/// A role: what it permits. Actions are those of management, data actions those on the data itself; neither implies the
/// other. `*` in a pattern stands for any characters; names compare without regard to case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleDefinition {
    /// Its GUID, in lower case.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Management actions it permits.
    pub actions: Vec<String>,
    /// Management actions it does not permit although `actions` would.
    pub not_actions: Vec<String>,
    /// Data actions it permits.
    pub data_actions: Vec<String>,
    /// Data actions it does not permit although `data_actions` would.
    pub not_data_actions: Vec<String>,
}

/// GUIDs of the built-in roles.
pub mod roles {
    /// Writes metrics to rules.
    pub const MONITORING_METRICS_PUBLISHER: &str = "3913510d-42f4-4e42-8a64-420c390055eb";
    /// Reads the metrics of workspaces.
    pub const MONITORING_DATA_READER: &str = "b0d8363b-8ddd-447d-831f-62ca05bff136";
    /// Reads all monitoring resources, not the data.
    pub const MONITORING_READER: &str = "43d0d8ad-25c7-4714-9337-8ba259a9fe05";
    /// Manages everything, rights included; no data.
    pub const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
    /// Manages everything but rights; no data.
    pub const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
    /// Reads all resources; no data.
    pub const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
    /// Manages rights.
    pub const USER_ACCESS_ADMINISTRATOR: &str = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";
}

impl RoleDefinition {
    /// The built-in roles that matter here, with Azure's GUIDs and rights.
    pub fn built_in() -> Vec<Self> {
        let built_in = [
            Self::new(
                roles::MONITORING_METRICS_PUBLISHER,
                "Monitoring Metrics Publisher",
                "Publishes metrics through data collection rules.",
            )
            .permitting(&[
                "Microsoft.Insights/Register/Action",
                "Microsoft.Support/*",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
            ])
            .permitting_data(&["Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"]),
            Self::new(
                roles::MONITORING_DATA_READER,
                "Monitoring Data Reader",
                "Reads the metrics in monitor workspaces.",
            )
            .permitting_data(&["Microsoft.Monitor/accounts/data/metrics/read"]),
            Self::new(roles::MONITORING_READER, "Monitoring Reader", "Reads monitoring resources and settings.")
                .permitting(&[
                    "*/read",
                    "Microsoft.OperationalInsights/workspaces/search/action",
                    "Microsoft.Support/*",
                ]),
            Self::new(roles::OWNER, "Owner", "Manages all resources and the rights on them.").permitting(&["*"]),
            Self::new(roles::CONTRIBUTOR, "Contributor", "Manages all resources, but not the rights on them.")
                .permitting(&["*"])
                .except(&[
                    "Microsoft.Authorization/*/Delete",
                    "Microsoft.Authorization/*/Write",
                    "Microsoft.Authorization/elevateAccess/Action",
                ]),
            Self::new(roles::READER, "Reader", "Sees all resources, but changes nothing.").permitting(&["*/read"]),
            Self::new(
                roles::USER_ACCESS_ADMINISTRATOR,
                "User Access Administrator",
                "Manages the rights on resources.",
            )
            .permitting(&["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"]),
        ];
        built_in.into()
    }

    /// Whether it permits the management action.
    pub fn permits(&self, action: &str) -> bool {
        any_matches(&self.actions, action) && !any_matches(&self.not_actions, action)
    }

    /// Whether it permits the data action.
    pub fn permits_data(&self, action: &str) -> bool {
        any_matches(&self.data_actions, action) && !any_matches(&self.not_data_actions, action)
    }

    fn new(id: &str, name: &str, description: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            actions: Vec::new(),
            not_actions: Vec::new(),
            data_actions: Vec::new(),
            not_data_actions: Vec::new(),
        }
    }

    fn permitting(mut self, actions: &[&str]) -> Self {
        self.actions = owned(actions);
        self
    }

    fn except(mut self, actions: &[&str]) -> Self {
        self.not_actions = owned(actions);
        self
    }

    fn permitting_data(mut self, actions: &[&str]) -> Self {
        self.data_actions = owned(actions);
        self
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn any_matches(patterns: &[String], action: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_bytes(), action.as_bytes()))
}

/// Whether `pattern` matches all of `text`. The text between two stars is found at its first place, which is enough:
/// a later place leaves less for the rest. Linear in the lengths' product, whatever the pattern.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some((start, mut rest)) = text.split_at_checked(first.len()) else { return false };
    if !start.eq_ignore_ascii_case(first) {
        return false;
    }
    let mut middle: Vec<&[u8]> = parts.collect();
    let Some(last) = middle.pop() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = (0..=rest.len().saturating_sub(part.len()))
            .find(|at| rest.get(*at..at + part.len()).is_some_and(|found| found.eq_ignore_ascii_case(part)))
        else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest[rest.len() - last.len()..].eq_ignore_ascii_case(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "anything/at/all", true),
            ("*", "", true),
            ("*/read", "Microsoft.Monitor/accounts/read", true),
            ("*/read", "Microsoft.Monitor/accounts/write", false),
            ("*/read", "read", false),
            ("*/READ", "a/read", true),
            ("Microsoft.Support/*", "microsoft.support/tickets/write", true),
            ("Microsoft.Support/*", "Microsoft.Supportive/x", false),
            ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/write", true),
            ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/write", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*bc*bc", "abc", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn built_in_roles_are_distinct() {
        let built_in = RoleDefinition::built_in();
        for (at, role) in built_in.iter().enumerate() {
            assert_eq!(role.id, role.id.to_ascii_lowercase());
            assert!(built_in[..at].iter().all(|other| other.id != role.id && other.name != role.name), "{}", role.name);
        }
    }
}
