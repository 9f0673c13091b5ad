//! `remora endpoint`.

use clap::{Args, Subcommand};

use super::service::{Confirmation, NewTags, ServiceOptions, TagChanges};
use super::workspace::Access;

/// Manage data collection endpoints: hosts that accept writes.
#[derive(Args, Debug)]
pub(crate) struct Endpoint {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List endpoints.
    List,
    /// Show one endpoint with its metrics ingestion URL.
    Show {
        /// Its name, immutable id or ARM id.
        endpoint: String,
    },
    Create(Create),
    Update(Update),
    Delete(Delete),
}

/// Make an endpoint. Rules are bound to it with `remora rule create --endpoint`.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Its name.
    pub(crate) name: String,
    /// Its region [default: that of the resource group]
    #[arg(long, value_name = "REGION")]
    pub(crate) location: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Whether it can be reached from everywhere
    #[arg(long, value_name = "STATE", default_value = "enabled")]
    pub(crate) public_network_access: Access,
    #[command(flatten)]
    pub(crate) tags: NewTags,
}

/// Change an endpoint. What is not named stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// Its name, immutable id or ARM id.
    pub(crate) endpoint: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Whether it can be reached from everywhere
    #[arg(long, value_name = "STATE")]
    pub(crate) public_network_access: Option<Access>,
    #[command(flatten)]
    pub(crate) tags: TagChanges,
}

/// Delete an endpoint. Refused while a rule is bound to it.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Its name, immutable id or ARM id.
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
