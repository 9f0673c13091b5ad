//! Backups of catalogue and workspaces together, while the service runs. The program makes them; here they are asked for.

use model::ErrorKind;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{At, Right, Route, Verb, handler};
use crate::{AdministrationError, Backup, shape};

pub(crate) const ROUTES: &[Route] = &[
    Route::new(Verb::Get, LIST, Right::Action(READ, At::Root), VERSIONS, handler!(list)),
    Route::new(Verb::Get, ONE, Right::Action(READ, At::Root), VERSIONS, handler!(show)),
    Route::new(Verb::Put, ONE, Right::Action(WRITE, At::Root), VERSIONS, handler!(make)),
];

const LIST: &str = "/providers/Remora.Service/backups";
const ONE: &str = "/providers/Remora.Service/backups/{backup}";
const READ: &str = "Remora.Service/backups/read";
const WRITE: &str = "Remora.Service/backups/write";
const VERSIONS: &[&str] = &["2026-11-01"];

async fn list(call: Call) -> Result<Answer, ArmError> {
    let backups = call.parts.administration.backups().await?;
    let value: Vec<Value> = backups.iter().map(shape).collect();
    Ok(Answer::ok(json!({ "value": value, "nextLink": null })))
}

async fn show(call: Call) -> Result<Answer, ArmError> {
    let name = checked_name(&call)?;
    let backups = call.parts.administration.backups().await?;
    let found = backups.iter().find(|backup| backup.name == name);
    found
        .map(|backup| Answer::ok(shape(backup)))
        .ok_or_else(|| ArmError::not_found("BackupNotFound", format!("There is no backup '{name}'.")))
}

async fn make(call: Call) -> Result<Answer, ArmError> {
    let name = checked_name(&call)?;
    let backup = call.parts.administration.backup(name).await?;
    Ok(Answer::put(true, shape(&backup)))
}

/// A name that is one component of a path on any file system, and no hidden one.
fn checked_name(call: &Call) -> Result<&str, ArmError> {
    let name = call.param("backup");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && name.len() <= NAME_BYTES_MAX && name.bytes().all(allowed) && !name.ends_with('.') {
        return Ok(name);
    }
    let rule =
        "1 to 64 letters, digits, hyphens, underscores and full stops; a letter or digit first, no full stop last";
    Err(ArmError::bad_request("InvalidResourceName", format!("'{name}' is no name of a backup: {rule}.")))
}

fn shape(backup: &Backup) -> Value {
    json!({
        "id": format!("{LIST}/{}", backup.name),
        "name": backup.name,
        "type": "Remora.Service/backups",
        "properties": {
            "path": backup.path,
            "createdTime": shape::time(backup.created_ms),
            "sizeBytes": backup.bytes,
            "workspaces": backup.workspaces,
            "provisioningState": "Succeeded",
        },
    })
}

impl From<AdministrationError> for ArmError {
    fn from(error: AdministrationError) -> Self {
        let (kind, code) = match &error {
            AdministrationError::Exists(_) => (ErrorKind::Conflict, "BackupExists"),
            AdministrationError::Name(_) => (ErrorKind::Invalid, "InvalidResourceName"),
            AdministrationError::Busy => (ErrorKind::Conflict, "AnotherOperationInProgress"),
            AdministrationError::Failed(_) => (ErrorKind::Internal, "BackupFailed"),
        };
        Self::new(kind, code, error.to_string())
    }
}

const NAME_BYTES_MAX: usize = 64;
