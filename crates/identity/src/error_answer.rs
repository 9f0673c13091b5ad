//! The body of an error answer, made fit for a log line: short, one line, without secrets.

use serde_json::Value;

/// What an error answer says.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct ErrorAnswer {
    /// The OAuth error id (`invalid_client`), or the code of an Azure error envelope.
    pub(crate) id: Option<String>,
    /// Entra's codes, most specific first as Entra lists them.
    pub(crate) aadsts: Vec<u32>,
    /// What it says, scrubbed and shortened; empty when it says nothing.
    pub(crate) text: String,
}

const TEXT_CHARS_MAX: usize = 300;
const CODES_MAX: usize = 8;

impl ErrorAnswer {
    /// Reads `body`. `secrets` are what was sent, in case the endpoint echoes it.
    pub(crate) fn parse(body: &[u8], secrets: &[&str]) -> Self {
        let fields = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
        let envelope = &fields["error"];
        let id = envelope.as_str().or_else(|| envelope["code"].as_str());
        let described = fields["error_description"].as_str();
        let described = described.or_else(|| envelope["message"].as_str()).or_else(|| fields["message"].as_str());
        let text = match (described, &fields) {
            // The lines after the first are trace ids and a timestamp.
            (Some(text), _) => text.lines().next().unwrap_or_default().to_owned(),
            (None, Value::Object(_)) => String::new(),
            (None, _) => String::from_utf8_lossy(&body[..body.len().min(4 * TEXT_CHARS_MAX)]).into_owned(),
        };
        let listed = fields["error_codes"].as_array().into_iter().flatten();
        let mut aadsts: Vec<u32> =
            listed.filter_map(|code| u32::try_from(code.as_u64()?).ok()).take(CODES_MAX).collect();
        for code in codes_in(&text) {
            if !aadsts.contains(&code) && aadsts.len() < CODES_MAX {
                aadsts.push(code);
            }
        }
        Self { id: id.map(|id| tidy(id, secrets, 60)), aadsts, text: tidy(&text, secrets, TEXT_CHARS_MAX) }
    }
}

/// One line without control characters, secrets or tokens, of at most `chars_max` characters.
pub(crate) fn tidy(text: &str, secrets: &[&str], chars_max: usize) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text = text.replace(&encoded, "***");
    }
    text = without_tokens(&text);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Replaces whatever begins like a JSON web token (`{"` in base64) and goes on like one.
fn without_tokens(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let end = rest[at..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.=+/".contains(c)))
            .map_or(rest.len(), |n| at + n);
        clean.push_str(&rest[..at]);
        clean.push_str(if end - at > 16 { "***" } else { &rest[at..end] });
        rest = &rest[end..];
    }
    clean + rest
}

fn codes_in(text: &str) -> impl Iterator<Item = u32> + '_ {
    text.split("AADSTS").skip(1).filter_map(|after| {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, id: Option<&str>, aadsts: &[u32], text: &str) {
        let answer = ErrorAnswer::parse(body.as_bytes(), &["s3cr3t/+", "hunter2"]);
        assert_eq!((answer.id.as_deref(), &answer.aadsts[..], answer.text.as_str()), (id, aadsts, text), "{body}");
    }

    #[test]
    fn every_shape_is_read() {
        check(
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: x","error_codes":[7000215]}"#,
            Some("invalid_client"),
            &[7_000_215],
            "AADSTS7000215: Invalid client secret provided.",
        );
        check(
            r#"{"error":"invalid_resource","error_description":"AADSTS50001: The application named x was not found"}"#,
            Some("invalid_resource"),
            &[50_001],
            "AADSTS50001: The application named x was not found",
        );
        check(r#"{"error":{"code":"BadThing","message":"no"}}"#, Some("BadThing"), &[], "no");
        check(r#"{"statusCode":400,"message":"No User Assigned identity"}"#, None, &[], "No User Assigned identity");
        check(r#"{"error":"unknown"}"#, Some("unknown"), &[], "");
        check("<html>\n  <b>Bad \u{7} Gateway</b>", None, &[], "<html> <b>Bad Gateway</b>");
        check("", None, &[], "");
    }

    #[test]
    fn secrets_and_tokens_never_get_through() {
        check("you sent hunter2 and s3cr3t/+ or s3cr3t%2F%2B", None, &[], "you sent *** and *** or ***");
        check("assertion eyJhbGciOiJQUzI1NiJ9.eyJhIjoxfQ.c2ln, eyJ", None, &[], "assertion ***, eyJ");
        check(r#"{"error":"hunter2"}"#, Some("***"), &[], "");
    }

    #[test]
    fn long_bodies_are_cut() {
        let answer = ErrorAnswer::parse("ä".repeat(100_000).as_bytes(), &[]);
        assert_eq!(answer.text.chars().count(), TEXT_CHARS_MAX + 1);
    }
}
