//! `remora token`: a token for a resource.

use std::sync::Arc;

use anyhow::Context;
use environment::Disk;
use host::HostDisk;
use identity::{Scope, TokenCache};
use sidecar::{IdentitySettings, Settings};

use crate::cli;
use crate::data_directory;
use crate::up_facts::Facts;

/// Obtains a token and prints it: of the `remora up` that runs on the data directory, else of the credential that the
/// environment names as it does for the sidecar.
///
/// # Errors
/// When there is neither, or no token is given out.
pub(crate) async fn run(arguments: cli::Token) -> anyhow::Result<()> {
    let scope = Scope::parse(&arguments.resource)?;
    let (credential, environment) = credential(&arguments)?;
    let (clock, rng) = (Arc::clone(&environment.clock), Arc::clone(&environment.rng));
    let cache = TokenCache::new(credential.credential(environment)?, scope, clock, rng);
    let token = cache.token().await.context("no token was given out")?;
    #[expect(clippy::print_stdout, reason = "the token is what was asked for")]
    {
        println!("{}", token.secret());
    }
    Ok(())
}

fn credential(arguments: &cli::Token) -> anyhow::Result<(IdentitySettings, identity::Environment)> {
    let facts = match (&arguments.data_dir, data_directory::default_path()) {
        (Some(directory), _) => {
            let facts = Facts::published(directory, &HostDisk as &dyn Disk)?;
            Some(facts.with_context(|| format!("no `remora up` runs on {}", directory.display()))?)
        }
        (None, Ok(directory)) => Facts::published(&directory, &HostDisk as &dyn Disk)?,
        (None, Err(_)) => None,
    };
    match facts {
        Some(facts) => of_installation(&facts),
        None => of_environment(),
    }
}

/// The installation's managed identity.
fn of_installation(facts: &Facts) -> anyhow::Result<(IdentitySettings, identity::Environment)> {
    let variables = [
        ("INGESTION_URL", facts.ingestion_url.as_str()),
        ("IDENTITY_TYPE", "userAssigned"),
        ("AZURE_CLIENT_ID", facts.client_id.as_str()),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", facts.imds.as_str()),
    ];
    let lookup = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
    let settings = Settings::from_env(lookup)?;
    Ok((settings.identity, sidecar::host_environment(settings.roots)))
}

#[expect(clippy::disallowed_methods, reason = "this is the program; the environment is read here")]
fn of_environment() -> anyhow::Result<(IdentitySettings, identity::Environment)> {
    // A credential alone is wanted, so what only the sidecar needs may be missing.
    let lookup = |name: &str| match (name, std::env::var(name).ok()) {
        ("INGESTION_URL", None) => Some("http://127.0.0.1/".to_owned()),
        ("IDENTITY_TYPE", None) => Some("default".to_owned()),
        (_, value) => value,
    };
    let settings = Settings::from_env(lookup).context(
        "no `remora up` runs on the default data directory, and the environment names no credential \
         (`remora sidecar --help` explains the variables)",
    )?;
    Ok((settings.identity, sidecar::host_environment(settings.roots)))
}
