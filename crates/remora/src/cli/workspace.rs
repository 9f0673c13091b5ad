//! `remora workspace`.

use clap::{Args, Subcommand, ValueEnum};

use super::service::{Confirmation, NewTags, ServiceOptions, TagChanges};

/// Manage workspaces: isolated stores, each with a query endpoint of its own.
#[derive(Args, Debug)]
pub(crate) struct Workspace {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List workspaces.
    List,
    /// Show one workspace.
    Show {
        /// Its name, accountId or ARM id.
        workspace: String,
    },
    Create(Create),
    Update(Update),
    Delete(Delete),
    /// List deleted workspaces that can still be restored.
    ListDeleted,
    /// Bring a deleted workspace back, with its data, its default endpoint and rule, and the roles on them.
    Restore {
        /// Its name or accountId, as `list-deleted` shows them.
        workspace: String,
    },
    /// Forget a deleted workspace with all its data now, before its time.
    Purge {
        /// Its name or accountId, as `list-deleted` shows them.
        workspace: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// Make a workspace, with a default endpoint and rule of its own; prints where to write and where to query.
///
/// Only those who are given a role can write or query: *Monitoring Metrics Publisher* on the rule, *Monitoring Data Reader* on
/// the workspace (`remora role create`).
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Its name: letters, digits and hyphens.
    pub(crate) name: String,
    /// Its region [default: that of the resource group]
    #[arg(long, value_name = "REGION")]
    pub(crate) location: Option<String>,
    /// How strict it is [default: as the service is set]
    #[arg(long)]
    pub(crate) profile: Option<Profile>,
    #[command(flatten)]
    pub(crate) tags: NewTags,
}

/// Change a workspace. What is not named stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// Its name, accountId or ARM id.
    pub(crate) workspace: String,
    /// How strict it is from now on
    #[arg(long)]
    pub(crate) profile: Option<Profile>,
    /// Whether it can be reached from everywhere
    #[arg(long, value_name = "STATE")]
    pub(crate) public_network_access: Option<Access>,
    #[command(flatten)]
    pub(crate) tags: TagChanges,
}

/// Delete a workspace with the endpoint and rule that were made with it.
///
/// It can be restored for some time (14 days unless the service is set otherwise), `list-deleted` says until when.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Its name, accountId or ARM id.
    pub(crate) workspace: String,
    /// Delete its data for good, at once
    #[arg(long)]
    pub(crate) purge: bool,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

/// How strictly a workspace treats what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// No success for what is not stored
    Strict,
    /// As Azure: silent drops, counted by reason
    Azure,
}

impl Profile {
    /// As the service writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Azure => "azure",
        }
    }
}

/// From where a resource can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Access {
    /// From everywhere
    Enabled,
    /// From private networks alone
    Disabled,
}

impl Access {
    /// As the service writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
        }
    }
}
