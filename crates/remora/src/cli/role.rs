//! `remora role`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::service::{Confirmation, ServiceOptions};

/// Manage role assignments: who may write, query and manage what.
///
/// A role holds at its scope and everything below: subscription, resource group, resource. To write, a principal needs
/// *Monitoring Metrics Publisher* on the rule; to query, *Monitoring Data Reader* on the workspace.
#[derive(Args, Debug)]
pub(crate) struct Role {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    List(List),
    /// Show one role assignment.
    Show {
        /// Its ARM id, or its name (a GUID).
        assignment: String,
    },
    Create(Create),
    Update(Update),
    Delete(Delete),
    /// List the roles there are.
    Definitions,
}

/// Where a role holds: one of these.
#[derive(Args, Clone, Debug, Default)]
#[command(group = ArgGroup::new("where").args(["scope", "workspace", "rule", "endpoint"]))]
pub(crate) struct Scope {
    /// Any ARM id: a resource, a resource group, a subscription, or `/`
    #[arg(long, value_name = "ID")]
    pub(crate) scope: Option<String>,
    /// A workspace, by name, accountId or ARM id
    #[arg(short, long, value_name = "WORKSPACE")]
    pub(crate) workspace: Option<String>,
    /// A rule, by name, immutable id or ARM id
    #[arg(short, long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// An endpoint, by name, immutable id or ARM id
    #[arg(short, long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
}

/// List role assignments: all of the subscription, or those at a scope and above it.
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Only those of this principal: object id, client id or name
    #[arg(short, long, value_name = "PRINCIPAL")]
    pub(crate) principal: Option<String>,
    /// Only those of this role
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
}

/// Give a role to a principal: at the scope that is named, else at the resource group, else at the subscription.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Who: object id, client id or name
    #[arg(short, long, value_name = "PRINCIPAL")]
    pub(crate) principal: String,
    /// What: the role's name or id, as `remora role definitions` lists them
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: String,
    // Where: without one of these the resource group given with --resource-group, else the subscription.
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// What kind of principal it is [default: what the directory says, else a service principal]
    #[arg(long, value_name = "KIND")]
    pub(crate) principal_type: Option<PrincipalType>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// Give the principal of an assignment another role at the same scope: the new one first, then the old one is taken away.
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The assignment's ARM id, or its name (a GUID).
    pub(crate) assignment: String,
    /// The role it has instead
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: String,
}

/// Take a role away.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The assignment's ARM id, or its name (a GUID) [default: the one that the options name]
    #[arg(required_unless_present = "principal", conflicts_with_all = ["principal", "role", "where"])]
    pub(crate) assignment: Option<String>,
    /// Whose: object id, client id or name
    #[arg(short, long, value_name = "PRINCIPAL", requires = "role")]
    pub(crate) principal: Option<String>,
    /// Which role
    #[arg(long, value_name = "ROLE", requires = "principal")]
    pub(crate) role: Option<String>,
    // Where: without one of these the resource group given with --resource-group, else the subscription.
    #[command(flatten)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

/// What kind of principal a role is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrincipalType {
    /// An application or managed identity
    ServicePrincipal,
    /// A person
    User,
    /// A group
    Group,
}

impl PrincipalType {
    /// As the service writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServicePrincipal => "ServicePrincipal",
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}
