//! `/v1.0/applications`.

use catalog::{Application, ApplicationSpec, CredentialChange, Problem};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::objects::SIGN_IN_AUDIENCE;
use super::{application, certificates, list, objects, passwords, reads, writes};
use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{Route, Verb, handler};

pub(crate) const ROUTES: &[Route] = &[
    reads(Verb::Get, "/v1.0/applications", handler!(all)),
    reads(Verb::Get, "/v1.0/applications/{application}", handler!(show)),
    reads(Verb::Get, "/v1.0/applications/{application}/owners", handler!(owners)),
    writes(Verb::Post, "/v1.0/applications", handler!(create)),
    writes(Verb::Patch, "/v1.0/applications/{application}", handler!(patch)),
    writes(Verb::Delete, "/v1.0/applications/{application}", handler!(delete)),
    writes(Verb::Post, "/v1.0/applications/{application}/addPassword", handler!(add_password)),
    writes(Verb::Post, "/v1.0/applications/{application}/removePassword", handler!(remove_password)),
];

async fn all(call: Call) -> Result<Answer, ArmError> {
    let snapshot = call.snapshot();
    list::answer(&call, "applications", snapshot.applications().values().map(|one| objects::application(one)))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    Ok(Answer::ok(objects::application(&*application(&call)?)))
}

async fn owners(call: Call) -> Result<Answer, ArmError> {
    application(&call)?;
    Ok(Answer::ok(json!({ "value": [] })))
}

async fn create(call: Call) -> Result<Answer, ArmError> {
    let body = call.json().await?;
    let wanted = Wanted::of(&body, None, &call)?;
    let actor = call.actor();
    let (name, certificates) = (wanted.name.unwrap_or_default(), wanted.certificates.add);
    let made = call.store().create_application(&actor, ApplicationSpec { name, ids: None, certificates }).await?;
    Ok(Answer::new(StatusCode::CREATED, Some(objects::application(&made))))
}

async fn patch(call: Call) -> Result<Answer, ArmError> {
    let body = call.json().await?;
    let before = application(&call)?;
    let wanted = Wanted::of(&body, Some(&before), &call)?;
    change_certificates(&call, &before, wanted.certificates).await?;
    Ok(Answer::no_content())
}

async fn delete(call: Call) -> Result<Answer, ArmError> {
    let application = application(&call)?;
    call.store().delete_application(&call.actor(), application.client_id).await?;
    Ok(Answer::no_content())
}

async fn add_password(call: Call) -> Result<Answer, ArmError> {
    passwords::add(&call, &*application(&call)?).await
}

async fn remove_password(call: Call) -> Result<Answer, ArmError> {
    passwords::remove(&call, &*application(&call)?).await
}

/// Adds and removes at once, so that there is no moment without a certificate that counts.
pub(super) async fn change_certificates(
    call: &Call,
    application: &Application,
    difference: certificates::Difference,
) -> Result<(), ArmError> {
    let certificates::Difference { add, remove } = difference;
    if add.is_empty() && remove.is_empty() {
        return Ok(());
    }
    let change = CredentialChange::Certificates { add, remove };
    call.store().change_application(&call.actor(), application.client_id, change).await?;
    Ok(())
}

/// What a body asks for.
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) certificates: certificates::Difference,
}

impl Wanted {
    /// Reads a body. What this directory does not keep is refused, unless nothing is said by it.
    pub(super) fn of(body: &Value, before: Option<&Application>, call: &Call) -> Result<Self, ArmError> {
        let (none, mut problems) = (Map::new(), Vec::new());
        let mut problem = |target: &str, message: &str| {
            problems.push(Problem { target: target.to_owned(), message: message.to_owned() });
        };
        let fields = body.as_object().unwrap_or_else(|| {
            problem("body", "is no object");
            &none
        });
        let name = fields.get("displayName").and_then(Value::as_str).map(str::to_owned);
        match (&name, before) {
            (Some(name), Some(before)) if *name != before.name => {
                problem("displayName", "cannot be changed: make another application");
            }
            (None, None) => problem("displayName", "is missing; a text is expected"),
            _ => {}
        }
        let mut credentials = None;
        for (field, value) in fields {
            match field.as_str() {
                "displayName" => {}
                "keyCredentials" => credentials = Some(value),
                "signInAudience" if value == SIGN_IN_AUDIENCE => {}
                "accountEnabled" if *value == Value::Bool(true) => {}
                "appId" if before.is_some_and(|before| *value == json!(before.client_id)) => {}
                _ if field.starts_with("@odata.") || says_nothing(value) => {}
                _ => problem(field, "is not kept by this directory: leave it out"),
            }
        }
        let now_secs = call.parts.clock.now().as_secs();
        let certificates = match credentials {
            Some(given) => {
                certificates::difference(given, before, &*call.parts.rng, now_secs).unwrap_or_else(|wrong| {
                    problems.extend(wrong);
                    certificates::Difference::default()
                })
            }
            None => certificates::Difference::default(),
        };
        if problems.is_empty() { Ok(Self { name, certificates }) } else { Err(ArmError::invalid(&problems)) }
    }
}

/// Whether a value is what is there anyway.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
