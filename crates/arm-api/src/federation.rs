//! What a federated credential may be, wherever one is written: on a managed identity or on an application.

use catalog::{Federation, Problem};
use environment::Rng;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

/// Reads `issuer`, `subject` and `audiences`; `prefix` stands before their names in what is said about them. The id is for
/// the caller to set. Another credential of `known` with the same issuer and subject is refused: which of the two counts
/// could not be said.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn of(name: &str, given: &Value, prefix: &str, known: &[Federation]) -> Result<Federation, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, message: String| {
        let target = if field == "name" { field.to_owned() } else { format!("{prefix}{field}") };
        problems.push(Problem { target, message });
    };
    let text = |field: &str| given.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
    if !is_name(name) {
        problem(
            "name",
            format!(
                "{name:?} is no name: {NAME_CHARS_MIN} to {NAME_CHARS_MAX} letters, digits, hyphens and underscores are expected, with a letter or digit in front"
            ),
        );
    }
    let (issuer, subject) = (text("issuer"), text("subject"));
    if !is_issuer(&issuer) {
        problem(
            "issuer",
            format!(
                "is no issuer: an https URL of at most {TEXT_CHARS_MAX} characters is expected, exactly as `iss` has it"
            ),
        );
    }
    if subject.is_empty() || subject.chars().count() > TEXT_CHARS_MAX || subject.chars().any(char::is_control) {
        problem("subject", format!("must have 1 to {TEXT_CHARS_MAX} characters, exactly as `sub` has it"));
    }
    let audiences: Vec<&str> =
        given.get("audiences").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let audience = match audiences.as_slice() {
        [one] if !one.is_empty() && one.chars().count() <= TEXT_CHARS_MAX => (*one).to_owned(),
        _ => {
            problem("audiences", "must name one audience, usually api://AzureADTokenExchange".to_owned());
            String::new()
        }
    };
    let others = || known.iter().filter(|other| !other.name.eq_ignore_ascii_case(name));
    if let Some(other) = others().find(|other| other.issuer == issuer && other.subject == subject) {
        problem("subject", format!("the credential {:?} has this issuer and subject already", other.name));
    }
    if others().count() >= FEDERATIONS_MAX {
        problem("name", format!("there are {FEDERATIONS_MAX} credentials already, which is as many as there may be"));
    }
    match problems.is_empty() {
        true => Ok(Federation { id: Uuid::nil(), name: name.to_owned(), issuer, subject, audience, key_set: None }),
        false => Err(problems),
    }
}

/// An id that nobody has.
pub(crate) fn new_id(rng: &dyn Rng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (NAME_CHARS_MIN..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(known)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Loopback issuers may do without TLS: a cluster on this machine.
fn is_issuer(text: &str) -> bool {
    let Ok(url) = text.parse::<Url>() else { return false };
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    secure
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && text.chars().count() <= TEXT_CHARS_MAX
}

const NAME_CHARS_MIN: usize = 3;
const NAME_CHARS_MAX: usize = 120;
const TEXT_CHARS_MAX: usize = 600;
/// As many as Azure takes.
const FEDERATIONS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets(name: &str, given: &Value) -> Vec<String> {
        let known = Federation {
            id: Uuid::nil(),
            name: "other".to_owned(),
            issuer: "https://cluster".to_owned(),
            subject: "taken".to_owned(),
            audience: "x".to_owned(),
            key_set: None,
        };
        match of(name, given, "p.", &[known]) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.target).collect(),
        }
    }

    #[test]
    fn credentials() {
        let good = json!({ "issuer": "https://cluster", "subject": "system:serviceaccount:a:b", "audiences": ["api://AzureADTokenExchange"] });
        let with = |field: &str, value: Value| {
            let mut changed = good.clone();
            changed[field] = value;
            changed
        };
        for (name, given, expected) in [
            ("my-app_1", good.clone(), &[][..]),
            ("ab", good.clone(), &["name"]),
            ("-abc", good.clone(), &["name"]),
            ("a b", good.clone(), &["name"]),
            ("abc", with("issuer", json!("http://localhost:8080/x")), &[]),
            ("abc", with("issuer", json!("http://cluster")), &["p.issuer"]),
            ("abc", with("issuer", json!("https://user@cluster")), &["p.issuer"]),
            ("abc", with("issuer", json!("cluster")), &["p.issuer"]),
            ("abc", with("subject", json!("")), &["p.subject"]),
            ("abc", with("subject", json!("x".repeat(601))), &["p.subject"]),
            ("abc", with("subject", json!("taken")), &["p.subject"]),
            ("OTHER", with("subject", json!("taken")), &[]),
            ("abc", with("audiences", json!([])), &["p.audiences"]),
            ("abc", with("audiences", json!(["a", "b"])), &["p.audiences"]),
            ("a", json!({}), &["name", "p.issuer", "p.subject", "p.audiences"]),
        ] {
            assert_eq!(targets(name, &given), expected, "{name} {given}");
        }
    }
}
