//! The sidecar as a program: arguments, environment, signals, exit codes. `remora-sidecar` is this alone, `remora sidecar`
//! is the same under another name.
//!
//! One thread: everything it does is moving bytes between sockets.

use std::ffi::OsString;
use std::iter::once;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use identity::{Scope, TokenCache};

use crate::{InvalidSettings, Settings, Sidecar, host_environment, variables};
use tokio::signal::unix::{SignalKind, signal};

/// Takes Prometheus remote write on this machine and passes it on with an Entra token.
#[derive(Parser)]
#[command(name = "remora-sidecar", version, after_help = "All settings are environment variables: --help explains each.", after_long_help = variables::help())]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Bytes of a request's body up to which it is kept, so that it can be sent again after a 401
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    kept_body_bytes: usize,
}

#[derive(Subcommand)]
enum Command {
    /// Print a token of the configured credential
    Token {
        /// What the token is for, such as https://prometheus.monitor.azure.com; default: the ingestion audience
        #[arg(long, value_name = "URI")]
        resource: Option<String>,
    },
    /// Check the configuration: exit 0 when it is right, 2 with every mistake named when not
    CheckConfig,
}

/// Runs the sidecar, or the subcommand that `arguments` (without the program's name) ask for, until it ends. `name` is what
/// the program is called in help and messages.
///
/// Exit codes: 0 when all went well, 1 when it could not start, 2 when arguments or environment are wrong.
pub fn program(name: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Arguments::command().name(name).bin_name(name);
    let matches = command.get_matches_from(once(OsString::from(name)).chain(arguments));
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    #[expect(clippy::disallowed_methods, reason = "this is the program; settings are read here, once")]
    let settings = Settings::from_env(|name| std::env::var(name).ok());
    let mut settings = match settings {
        Ok(settings) => settings,
        Err(invalid) => {
            eprintln!("{}", misconfigured(name, &invalid));
            return ExitCode::from(2);
        }
    };
    settings.limits.kept_body_bytes_max = arguments.kept_body_bytes;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Names are resolved on a thread of its own, now and then.
        .max_blocking_threads(2)
        .thread_keep_alive(Duration::from_secs(1))
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &format!("cannot start: {error}")),
    };
    match arguments.command {
        None => runtime.block_on(serve(name, &settings)),
        Some(Command::Token { resource }) => runtime.block_on(print_token(name, &settings, resource.as_deref())),
        Some(Command::CheckConfig) => {
            eprintln!("{name}: the configuration is right ({} identity)", settings.identity.name());
            ExitCode::SUCCESS
        }
    }
}

async fn serve(name: &str, settings: &Settings) -> ExitCode {
    let filter = if settings.trace { TRACE_FILTER } else { "info" };
    if let Err(error) = host::logging::init(filter) {
        return failed(name, &error.to_string());
    }
    log_settings(settings);
    let (Ok(mut terminated), Ok(mut interrupted)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return failed(name, "cannot listen for signals");
    };
    let sidecar = match Sidecar::bind(settings, host_environment(Arc::clone(&settings.roots))).await {
        Ok(sidecar) => sidecar,
        Err(error) => return failed(name, &error.to_string()),
    };
    let shutdown = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    sidecar.run(shutdown).await;
    ExitCode::SUCCESS
}

async fn print_token(name: &str, settings: &Settings, resource: Option<&str>) -> ExitCode {
    let scope = match resource.map(Scope::parse).transpose() {
        Ok(scope) => scope.unwrap_or_else(|| settings.ingestion_scope.clone()),
        Err(error) => return failed(name, &error.to_string()),
    };
    let environment = host_environment(Arc::clone(&settings.roots));
    let (clock, rng) = (Arc::clone(&environment.clock), Arc::clone(&environment.rng));
    let credential = match settings.identity.credential(environment) {
        Ok(credential) => credential,
        Err(error) => return failed(name, &error.to_string()),
    };
    match TokenCache::new(credential, scope, clock, rng).token().await {
        Ok(token) => {
            #[expect(clippy::print_stdout, reason = "the token is what was asked for")]
            {
                println!("{}", token.secret());
            }
            ExitCode::SUCCESS
        }
        Err(error) => failed(name, &error.to_string()),
    }
}

/// Names as the sidecar that this replaces logs them; no secrets.
fn log_settings(settings: &Settings) {
    tracing::info!(
        CLOUD = %settings.cloud,
        CLUSTER = settings.cluster,
        IDENTITY_TYPE = settings.identity.name(),
        INGESTION_AAD_AUDIENCE = %settings.ingestion_scope,
        INGESTION_URL = %settings.ingestion_url,
        LISTENING_PORT = settings.listen.port(),
        REMORA_LISTEN_ADDRESS = %settings.listen.ip(),
        REMORA_QUERY_URL = settings.query.as_ref().map(|query| query.url.as_str()),
        version = env!("CARGO_PKG_VERSION"),
        "Configuration settings loaded:"
    );
}

fn misconfigured(name: &str, invalid: &InvalidSettings) -> String {
    format!("{name}: {invalid}\n\n`{name} --help` explains every variable.")
}

fn failed(name: &str, message: &str) -> ExitCode {
    eprintln!("{name}: {message}");
    ExitCode::FAILURE
}

const TRACE_FILTER: &str = "debug,proxy=trace,identity=trace,sidecar=trace,hyper=info,hyper_util=info,rustls=info";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_use_the_name_it_was_started_under() {
        let invalid = Settings::from_env(|_| None).unwrap_err();
        for name in ["remora sidecar", "remora-sidecar"] {
            let text = misconfigured(name, &invalid);
            assert!(text.starts_with(&format!("{name}: the configuration has 2 mistakes:\n")), "{text}");
            assert!(text.ends_with(&format!("\n`{name} --help` explains every variable.")), "{text}");
        }
    }
}
