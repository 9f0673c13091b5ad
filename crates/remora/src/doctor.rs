//! `remora doctor`: the sidecar's doctor, with the settings of the environment or of the `remora up` that runs here.

use std::process::ExitCode;

use anyhow::bail;
use host::HostDisk;

use crate::cli;
use crate::data_directory;
use crate::up_facts::Facts;

/// Examines and prints; exit codes are the sidecar's.
///
/// # Errors
/// When no `remora up` runs on the directory that was asked for.
pub(crate) async fn run(arguments: cli::Doctor) -> anyhow::Result<ExitCode> {
    let settings = of_installation(&arguments)?;
    let variable = |name: &str| match &settings {
        Some(settings) => settings.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone()),
        None => variable(name),
    };
    Ok(sidecar::examine("remora", &arguments.asked, arguments.config.as_deref(), &variable).await)
}

/// The settings of the sidecar of a running `remora up`: of the one asked for, else, where there are no settings, of the one
/// on the default data directory.
fn of_installation(arguments: &cli::Doctor) -> anyhow::Result<Option<Vec<(&'static str, String)>>> {
    let directory = match &arguments.data_dir {
        Some(directory) => directory.clone(),
        None if arguments.config.is_some() || ["INGESTION_URL", "REMORA_CONFIG"].iter().any(|name| is_set(name)) => {
            return Ok(None);
        }
        None => match data_directory::default_path() {
            Ok(directory) => directory,
            Err(_) => return Ok(None),
        },
    };
    match Facts::published(&directory, &HostDisk)? {
        Some(facts) => {
            eprintln!("remora: examining the `remora up` on {}", directory.display());
            Ok(Some(facts.sidecar_variables(&directory)))
        }
        None if arguments.data_dir.is_some() => bail!("no `remora up` runs on {}", directory.display()),
        None => Ok(None),
    }
}

fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| !value.trim().is_empty())
}

#[expect(clippy::disallowed_methods, reason = "this is the program; the environment is read here")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
