//! The commands that manage a running service: one file per noun.
//!
//! Each reads what it needs, asks before it destroys, does it, and prints what came of it: a table for people, the service's
//! own JSON for scripts, or names alone. Exit codes: 0 done, 1 not done, 2 asked for wrongly.

mod audit;
mod backup;
mod console;
mod describe;
mod endpoint;
mod identity;
mod limit;
mod principal;
mod role;
mod rule;
mod sidecar_environment;
mod usage;
mod workspace;

#[cfg(test)]
mod test_support;

use std::io;
use std::process::ExitCode;

use crate::cli::Manage;
use crate::cli::administration::{Backup, BackupVerb};
use crate::cli::service::ServiceOptions;
use crate::client::{Client, ClientError, connect};
use console::Console;

/// A command at work: the service, and the one who asked.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) console: Console,
    /// The options that lead to this service, for commands that are suggested.
    pub(crate) options: String,
}

/// Does what was asked for.
pub(crate) async fn run(command: Manage) -> ExitCode {
    let outcome = perform(command).await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads the output has enough of it.
        Err(ClientError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remora: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn perform(command: Manage) -> Result<(), ClientError> {
    // Nothing runs there that could be asked.
    if let Manage::Backup(Backup { service, verb: BackupVerb::Restore { from } }) = &command {
        return backup::restore(service, from, &mut Console::of_process(service));
    }
    start(command.service())?.perform(command).await
}

fn start(options: &ServiceOptions) -> Result<Session, ClientError> {
    Ok(Session {
        client: connect(options, &variable)?,
        console: Console::of_process(options),
        options: options.as_arguments(),
    })
}

impl Session {
    pub(crate) async fn perform(&mut self, command: Manage) -> Result<(), ClientError> {
        match command {
            Manage::Workspace(noun) => workspace::perform(self, noun.verb).await,
            Manage::Endpoint(noun) => endpoint::perform(self, noun.verb).await,
            Manage::Rule(noun) => rule::perform(self, noun.verb).await,
            Manage::Role(noun) => role::perform(self, noun.verb).await,
            Manage::Limit(noun) => limit::perform(self, noun.verb).await,
            Manage::Usage(arguments) => usage::perform(self, arguments).await,
            Manage::Principal(noun) => principal::perform(self, noun.verb).await,
            Manage::Identity(noun) => identity::perform(self, noun.verb).await,
            Manage::Audit(arguments) => audit::perform(self, arguments).await,
            Manage::Backup(noun) => backup::perform(self, noun.verb).await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the program; the environment is read here")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
