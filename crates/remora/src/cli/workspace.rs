//! `remora workspace`.

use clap::{Args, Subcommand, ValueEnum};

use super::service::{Confirmation, NewTags, ServiceOptions, TagChanges};
use crate::duration;

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
    pub(crate) storage: Storage,
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
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) tags: TagChanges,
}

/// How samples are kept. A zero stands for what the service is set to.
#[derive(Args, Debug, Default)]
pub(crate) struct Storage {
    /// Age at which samples are removed, in whole days: 90d; 0d for the service's setting
    #[arg(long, value_name = "SPAN", value_parser = parse_days)]
    pub(crate) retention: Option<u64>,
    /// Bytes of blocks beyond which the oldest samples are removed, at least 16777216; 0 for the service's setting
    #[arg(long, value_name = "BYTES")]
    pub(crate) retention_bytes: Option<u64>,
    /// How much older than the workspace's newest a sample may be: 12h; 0s for the service's setting
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    pub(crate) out_of_order_window: Option<u64>,
}

impl Storage {
    /// What is given, as the management API calls it.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let fields = [
            ("retentionInDays", self.retention),
            ("retentionInBytes", self.retention_bytes),
            ("outOfOrderWindowInSeconds", self.out_of_order_window),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

fn parse_days(text: &str) -> Result<u64, String> {
    let seconds = parse_seconds(text)?;
    match seconds % 86_400 {
        0 => Ok(seconds / 86_400),
        _ => Err("not a whole number of days; write 90d".to_owned()),
    }
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    duration::parse(text).map(|span| span.as_secs()).ok_or_else(|| duration::FORM.to_owned())
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
