//! `remora token`: a token for a resource.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
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
    let (source, credential, environment) = credential(&arguments)?;
    let (clock, rng) = (Arc::clone(&environment.clock), Arc::clone(&environment.rng));
    let cache = TokenCache::new(credential.credential(environment)?, scope, clock, rng);
    let token = cache.token().await.with_context(|| match &source {
        Source::Installation(directory) => format!("the `remora up` on {} gave out no token", directory.display()),
        Source::Environment => "no `remora up` runs on the default data directory (--data-dir names another), and the \
             environment's credential gave out no token (`remora sidecar --help` explains the variables)"
            .to_owned(),
    })?;
    #[expect(clippy::print_stdout, reason = "the token is what was asked for")]
    {
        println!("{}", token.secret());
    }
    Ok(())
}

/// Whose credential it is.
enum Source {
    Installation(PathBuf),
    Environment,
}

fn credential(arguments: &cli::Token) -> anyhow::Result<(Source, IdentitySettings, identity::Environment)> {
    let directory = match &arguments.data_dir {
        Some(directory) => Some(directory.clone()),
        None => data_directory::default_path().ok(),
    };
    let published =
        directory.map(|directory| Ok::<_, anyhow::Error>((Facts::published(&directory, &HostDisk)?, directory)));
    match (published.transpose()?, &arguments.data_dir) {
        (Some((Some(facts), directory)), _) => {
            let (identity, environment) = of_installation(&facts)?;
            Ok((Source::Installation(directory), identity, environment))
        }
        (_, Some(directory)) => bail!("no `remora up` runs on {}", directory.display()),
        (_, None) => {
            let (identity, environment) = of_environment()?;
            Ok((Source::Environment, identity, environment))
        }
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
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    // A credential alone is wanted, so what only the sidecar needs may be missing, unless a settings file gives it.
    let has_file = variable("REMORA_CONFIG").is_some();
    let lookup = |name: &str| match (name, variable(name)) {
        ("INGESTION_URL", None) if !has_file => Some("http://127.0.0.1/".to_owned()),
        ("IDENTITY_TYPE", None) if !has_file => Some("default".to_owned()),
        (_, value) => value,
    };
    let settings = Settings::load(lookup, None)?;
    let environment = sidecar::environment_for(&settings);
    Ok((settings.identity, environment))
}
