//! What to do about a refusal of the service.

use http::StatusCode;

use super::error::Refusal;
use super::{Api, Parts};
use crate::cli::service::shell_word;

/// What would mend `refusal`, if that can be said from here.
pub(super) fn of(refusal: &Refusal, api: Api, parts: &Parts) -> Option<String> {
    let who = parts.who();
    match refusal.status {
        StatusCode::UNAUTHORIZED => Some(format!(
            "{who}; the service takes tokens for {} of the issuers that it is set to trust",
            parts.audience.resource()
        )),
        StatusCode::FORBIDDEN => Some(format!("{who}\n  {}", role_needed(refusal, api))),
        StatusCode::NOT_FOUND if refusal.code.is_empty() => Some(
            "check that the URL is that of a Remora service with management (--service, REMORA_SERVICE)".to_owned(),
        ),
        StatusCode::NOT_FOUND if refusal.code == "SubscriptionNotFound" => {
            Some("name another with --subscription (AZURE_SUBSCRIPTION_ID)".to_owned())
        }
        StatusCode::PRECONDITION_FAILED => {
            Some("somebody else keeps changing it: look what it is now, and repeat the command".to_owned())
        }
        StatusCode::TOO_MANY_REQUESTS => Some("too much was asked within a short time: repeat it later".to_owned()),
        _ => None,
    }
}

/// Which role at which scope lets one do what was refused.
fn role_needed(refusal: &Refusal, api: Api) -> String {
    let action = quoted_after(&refusal.message, "action '");
    let scope = quoted_after(&refusal.message, "scope '");
    let (role, scope) = match api {
        Api::Graph => ("Owner", "/"),
        Api::Arm => (role_for(action.unwrap_or_default()), scope.unwrap_or("the scope of what was asked for")),
    };
    let whom = quoted_after(&refusal.message, "object id '").unwrap_or("OBJECT_ID");
    let (role_word, scope_word) = (shell_word(role), shell_word(scope));
    format!(
        "it needs the role {role} at {scope} or above; whoever may give roles gives it by:\n    remora role create \
         --principal {whom} --role {role_word} --scope {scope_word}"
    )
}

/// The least of the roles that people know which holds the right to `action`.
fn role_for(action: &str) -> &'static str {
    let action = action.to_ascii_lowercase();
    match action.rsplit('/').next() {
        _ if action.starts_with("microsoft.authorization/") && !action.ends_with("/read") => {
            "User Access Administrator"
        }
        Some("read") => "Reader",
        _ => "Contributor",
    }
}

/// What stands between `start` and the next quote.
fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split('\'').next().filter(|found| !found.is_empty())
}
