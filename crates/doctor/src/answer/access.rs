//! The sentence in which an ingestion endpoint says why a principal may not write to a rule.
//!
//! `… PipelineAccessResult: AccessGranted: False, IsRbacPresent: False, IsDcrDceBindingValid: , DcrArmId: <id>, Message: Required
//! authorization action was not found for tenantId <t> objectId <o> on resourceId <r> ConfigurationId: <c>..`

/// What it says; each part may be absent.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Access {
    /// Whether a role gives the right to write.
    pub(super) has_role: Option<bool>,
    /// Whether rule and endpoint belong together. Left empty by Azure when there is no role.
    pub(super) is_bound: Option<bool>,
    /// ARM id of the rule.
    pub(super) rule: Option<String>,
    /// The principal that was refused.
    pub(super) object_id: Option<String>,
    /// Its directory.
    pub(super) tenant_id: Option<String>,
    /// Whether it says in words that the right is not there.
    says_not_found: bool,
}

impl Access {
    pub(super) fn parse(message: &str) -> Self {
        Self {
            has_role: after(message, "IsRbacPresent:").and_then(truth),
            is_bound: after(message, "IsDcrDceBindingValid:").and_then(truth),
            rule: after(message, "DcrArmId:").map(str::to_owned),
            object_id: after(message, "objectId ").map(str::to_owned),
            tenant_id: after(message, "tenantId ").map(str::to_owned),
            says_not_found: message.contains("Required authorization action was not found"),
        }
    }

    pub(super) fn is_role_missing(&self) -> bool {
        self.has_role == Some(false) || (self.has_role.is_none() && self.says_not_found)
    }
}

/// The word behind `key`; none when it is empty.
fn after<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    let rest = &message[message.find(key)? + key.len()..];
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let word = &rest[..rest.find([',', ' ']).unwrap_or(rest.len())];
    let word = word.trim_end_matches('.');
    (!word.is_empty()).then_some(word)
}

fn truth(word: &str) -> Option<bool> {
    match word {
        _ if word.eq_ignore_ascii_case("true") => Some(true),
        _ if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_or_absent() {
        let message = "The authentication token provided does not have access to ingest data for the data collection rule with \
                       immutable Id 'dcr-1' PipelineAccessResult: AccessGranted: False, IsRbacPresent: False, \
                       IsDcrDceBindingValid: , DcrArmId: /subscriptions/s/rules/r, Message: Required authorization action was not \
                       found for tenantId t-1 objectId o-1 on resourceId /subscriptions/s/rules/r ConfigurationId: dcr-1..";
        let access = Access::parse(message);
        assert_eq!((access.has_role, access.is_bound, access.is_role_missing()), (Some(false), None, true));
        assert_eq!(access.rule.as_deref(), Some("/subscriptions/s/rules/r"));
        assert_eq!((access.object_id.as_deref(), access.tenant_id.as_deref()), (Some("o-1"), Some("t-1")));

        let unbound = Access::parse("IsRbacPresent: True, IsDcrDceBindingValid: False, DcrArmId: /r, Message: x");
        assert_eq!((unbound.has_role, unbound.is_bound, unbound.is_role_missing()), (Some(true), Some(false), false));
        assert_eq!(Access::parse("no"), Access::default());
        assert_eq!(Access::parse("DcrArmId:"), Access::default());
        assert!(Access::parse("Required authorization action was not found for x").is_role_missing());
    }
}
