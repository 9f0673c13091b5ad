//! The sidecar as a program: arguments, environment, signals, exit codes. `remora-sidecar` is this alone, `remora sidecar`
//! is the same under another name.
//!
//! One thread: everything it does is moving bytes between sockets. The queue has a thread of its own for its files.

use std::ffi::OsString;
use std::iter::once;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use identity::{Scope, TokenCache};

use crate::ledger::{self, Ledger};
use crate::outgoing::environment_for;
use crate::settings::LedgerSettings;
use crate::{Examination, InvalidSettings, Settings, effective, examine, serve, variables};

/// Takes Prometheus remote write on this machine and delivers it with an Entra token.
///
/// Without a queue, requests pass straight through. With REMORA_QUEUE_DIR they are kept on disk first, and delivered from
/// there until it is settled what became of every sample.
#[derive(Parser)]
#[command(
    name = "remora-sidecar",
    version,
    after_help = "All settings are environment variables or keys of a settings file: --help explains each.",
    after_long_help = variables::help()
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The settings file (YAML) [default: REMORA_CONFIG, else none]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// /ready is red also while the queue refuses requests, as REMORA_READY_STRICT=true
    #[arg(long)]
    ready_strict: bool,
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
    CheckConfig {
        /// Print the settings in force and where each comes from, without secrets
        #[arg(long)]
        print: bool,
    },
    /// Follow the way of a sample link by link, and say what to mend first
    Doctor(Examination),
    /// What became of every sample: the account, refused series, and sending those again
    Ledger {
        #[command(subcommand)]
        asked: Ledger,
    },
}

/// Runs the sidecar, or the subcommand that `arguments` (without the program's name) ask for, until it ends. `name` is what
/// the program is called in help and messages.
///
/// Exit codes: 0 when all went well, 1 when it could not start or what was asked for did not succeed, 2 when arguments or
/// settings are wrong; 3 when `doctor` has warnings alone.
pub fn program(name: &'static str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Arguments::command().name(name).bin_name(name);
    let matches = command.get_matches_from(once(OsString::from(name)).chain(arguments));
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Names are resolved and settings read anew on threads of their own, now and then.
        .max_blocking_threads(2)
        .thread_keep_alive(Duration::from_secs(1))
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &format!("cannot start: {error}")),
    };
    let Arguments { command, config, ready_strict, kept_body_bytes } = arguments;
    if let Some(Command::Doctor(doctor)) = command {
        return runtime.block_on(examine(name, &doctor, config.as_deref(), &variable));
    }
    if let Some(Command::Ledger { asked }) = command {
        let settings = LedgerSettings::load(&variable, config.as_deref());
        return runtime.block_on(ledger::run(name, asked, settings));
    }
    let load = move || {
        let (contents, settings) = Settings::load_watched(&variable, config.as_deref());
        let with_arguments = |mut settings: Settings| {
            settings.limits.kept_body_bytes_max = kept_body_bytes;
            settings.ready_strict |= ready_strict;
            settings
        };
        (contents, settings.map(with_arguments))
    };
    let settings = match load().1 {
        Ok(settings) => settings,
        Err(invalid) => {
            eprintln!("{}", misconfigured(name, &invalid));
            return ExitCode::from(2);
        }
    };
    match command {
        Some(Command::Token { resource }) => runtime.block_on(print_token(name, &settings, resource.as_deref())),
        Some(Command::CheckConfig { print }) => check_config(name, &settings, print),
        _ => runtime.block_on(serve::serve(name, settings, &misspelt(), Arc::new(load))),
    }
}

/// Variables that look like misspelt ones of ours, each with the name that was meant.
fn misspelt() -> Vec<(String, &'static str)> {
    variables::misspelt(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

#[expect(clippy::disallowed_methods, reason = "this is the program; settings are read here")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn check_config(name: &str, settings: &Settings, print: bool) -> ExitCode {
    if print {
        #[expect(clippy::print_stdout, reason = "the settings are what was asked for")]
        {
            print!("{}", effective::show(settings));
        }
    }
    for (given, meant) in misspelt() {
        eprintln!("{name}: warning: {given} is not known and not read: did you mean {meant}?");
    }
    eprintln!("{name}: the configuration is right ({} identity)", settings.identity.name());
    ExitCode::SUCCESS
}

async fn print_token(name: &str, settings: &Settings, resource: Option<&str>) -> ExitCode {
    let scope = match resource.map(Scope::parse).transpose() {
        Ok(scope) => scope.unwrap_or_else(|| settings.ingestion_scope.clone()),
        Err(error) => return failed(name, &error.to_string()),
    };
    let environment = environment_for(settings);
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

fn misconfigured(name: &str, invalid: &InvalidSettings) -> String {
    format!("{name}: {invalid}\n\n`{name} --help` explains every variable.")
}

pub(crate) fn failed(name: &str, message: &str) -> ExitCode {
    eprintln!("{name}: {message}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

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
