//! Role definitions: named sets of permitted actions.

mod built_in;

pub use built_in::roles;

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

impl RoleDefinition {
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
    let Some(mut part) = parts.next() else { return rest.is_empty() };
    for next in parts {
        let Some(at) = (0..=rest.len().saturating_sub(part.len()))
            .find(|at| rest.get(*at..at + part.len()).is_some_and(|found| found.eq_ignore_ascii_case(part)))
        else {
            return false;
        };
        rest = &rest[at + part.len()..];
        part = next;
    }
    rest.len() >= part.len() && rest[rest.len() - part.len()..].eq_ignore_ascii_case(part)
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
}
