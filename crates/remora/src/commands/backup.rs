//! `remora backup`.

use std::path::Path;
use std::time::Duration;

use host::HostDisk;
use serde_json::Value;

use super::Session;
use super::console::Console;
use super::describe;
use super::usage::grouped;
use crate::backup;
use crate::cli::administration::BackupVerb as Verb;
use crate::cli::service::ServiceOptions;
use crate::client::versions::BACKUPS as VERSION;
use crate::client::{ClientError, encode_segment, number, text};
use crate::data_directory;

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::Create { name } => create(session, &name).await,
        Verb::List => list(session).await,
        Verb::Restore { .. } => Err(ClientError::Usage("a backup is restored where no service runs".to_owned())),
    }
}

/// Makes a data directory of a backup.
pub(super) fn restore(options: &ServiceOptions, from: &Path, console: &mut Console) -> Result<(), ClientError> {
    let to = match &options.data_dir {
        Some(directory) => directory.clone(),
        None => data_directory::default_path().map_err(|error| ClientError::Usage(format!("{error:#}")))?,
    };
    let restored = backup::restore(from, to.clone(), &HostDisk);
    let (workspaces, bytes) = restored.map_err(|error| ClientError::Failed(format!("{error:#}")))?;
    console.note(&format!(
        "{} has now what the backup had: {workspaces} workspaces, {} bytes",
        to.display(),
        grouped(bytes as f64)
    ))
}

async fn create(session: &mut Session, name: &str) -> Result<(), ClientError> {
    let path = format!("{BACKUPS}/{}", encode_segment(name));
    let made = session.client.create_within(&path, VERSION, TIMEOUT).await?;
    let fields = vec![
        ("name", describe::name(&made)),
        ("path", text(&made, "/properties/path").to_owned()),
        ("bytes", bytes(&made)),
        ("workspaces", grouped(number(&made, "/properties/workspaces").unwrap_or_default())),
        ("made", describe::short_time(text(&made, "/properties/createdTime"))),
    ];
    session.console.resource(&made, text(&made, "/name"), fields)?;
    let path = describe::shell_word(text(&made, "/properties/path"));
    session.console.note(&format!(
        "\nWhere no service runs, this makes a data directory of it:\n\n  remora backup restore --from {path} --data-dir DIR"
    ))
}

async fn list(session: &mut Session) -> Result<(), ClientError> {
    let backups = session.client.list(BACKUPS, VERSION).await?;
    session.console.resources(&backups, describe::name, &["NAME", "MADE", "WORKSPACES", "BYTES", "PATH"], |backup| {
        vec![
            describe::name(backup),
            describe::short_time(text(backup, "/properties/createdTime")),
            grouped(number(backup, "/properties/workspaces").unwrap_or_default()),
            bytes(backup),
            text(backup, "/properties/path").to_owned(),
        ]
    })
}

fn bytes(backup: &Value) -> String {
    grouped(number(backup, "/properties/sizeBytes").unwrap_or_default())
}

const BACKUPS: &str = "/providers/Remora.Service/backups";

/// All data of all workspaces are copied.
const TIMEOUT: Duration = Duration::from_secs(4 * 3600);
