//! `remora rule`.

use clap::{Args, Subcommand};

use super::service::{Confirmation, NewTags, ServiceOptions, TagChanges};

/// Manage data collection rules: what is written through one goes to its workspaces.
///
/// Each rule has a quota of its own, so that several rules into one workspace let more senders write.
#[derive(Args, Debug)]
pub(crate) struct Rule {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List rules.
    List,
    /// Show one rule with its ingestion URL.
    Show {
        /// Its name, immutable id or ARM id.
        rule: String,
    },
    Create(Create),
    Env(Env),
    Update(Update),
    Delete(Delete),
}

/// Make a rule; prints its immutable id, its ingestion URL and the environment of a sidecar that writes through it.
///
/// A sender also needs the role *Monitoring Metrics Publisher* on the rule: `--publisher` gives it, without it the command
/// that would is printed.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Its name.
    pub(crate) name: String,
    /// The workspaces it writes to, by name, accountId or ARM id
    #[arg(short, long, value_name = "WORKSPACE", required = true, value_delimiter = ',')]
    pub(crate) workspace: Vec<String>,
    /// The endpoint it is bound to, by name, immutable id or ARM id
    #[arg(short, long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// Make the endpoint too: of the name given with `--endpoint`, else of the rule's name
    #[arg(long)]
    pub(crate) create_endpoint: bool,
    /// Its region [default: that of the endpoint, else of the first workspace]
    #[arg(long, value_name = "REGION")]
    pub(crate) location: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Who may write through it: object id, client id or name of a principal; may be given several times
    #[arg(long, value_name = "PRINCIPAL")]
    pub(crate) publisher: Vec<String>,
    #[command(flatten)]
    pub(crate) tags: NewTags,
}

/// Print the environment of a sidecar that writes through a rule, for `eval "$(remora rule env NAME)"`.
#[derive(Args, Debug)]
pub(crate) struct Env {
    /// The rule's name, immutable id or ARM id.
    pub(crate) rule: String,
    /// Whose credential the sidecar has: object id, client id or name of a principal
    #[arg(long, value_name = "PRINCIPAL")]
    pub(crate) publisher: Option<String>,
}

/// Change a rule. What is not named stays as it is, its immutable id always does.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// Its name, immutable id or ARM id.
    pub(crate) rule: String,
    /// The workspaces it writes to from now on, by name, accountId or ARM id
    #[arg(short, long, value_name = "WORKSPACE", value_delimiter = ',')]
    pub(crate) workspace: Vec<String>,
    /// The endpoint it is bound to from now on
    #[arg(short, long, value_name = "ENDPOINT", conflicts_with = "no_endpoint")]
    pub(crate) endpoint: Option<String>,
    /// Bind it to no endpoint
    #[arg(long)]
    pub(crate) no_endpoint: bool,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    #[command(flatten)]
    pub(crate) tags: TagChanges,
}

/// Delete a rule: what senders write through it is refused from then on.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Its name, immutable id or ARM id.
    pub(crate) rule: String,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
