//! What can be wrong with a change, and with the store.

use model::{AccountId, ErrorKind, Kinded, ResourceId};

/// Resources that do not fit together.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two workspaces with one identity.
    #[error("two workspaces have the accountId {0}")]
    DuplicateAccount(AccountId),
    /// Two workspaces with one name in query paths.
    #[error("two workspaces have the handle {0:?} (handles compare without regard to case)")]
    DuplicateHandle(String),
    /// Two rules with one identity.
    #[error("two data collection rules have the immutable id {0:?}")]
    DuplicateRule(String),
    /// Two endpoints with one ARM id.
    #[error("two data collection endpoints have the resource id {0}")]
    DuplicateEndpoint(ResourceId),
    /// Two resources that share what tells resources apart.
    #[error("two resources of one kind share an identity that is to be unique")]
    DuplicateKey,
    /// An immutable id of the wrong form.
    #[error("{0:?} is not an immutable id: it must be `{1}` and 32 hexadecimal digits in lower case")]
    ImmutableId(String, &'static str),
    /// A rule that writes nowhere.
    #[error("data collection rule {0:?} has no destination")]
    NoDestination(String),
    /// A rule that writes to a workspace that does not exist.
    #[error("data collection rule {rule:?} writes to the workspace {account}, which does not exist")]
    UnknownDestination {
        /// The rule's immutable id.
        rule: String,
        /// The workspace it names.
        account: AccountId,
    },
    /// A rule bound to an endpoint that does not exist.
    #[error("data collection rule {rule:?} is bound to the endpoint {endpoint}, which does not exist")]
    UnknownEndpoint {
        /// The rule's immutable id.
        rule: String,
        /// The endpoint it names.
        endpoint: ResourceId,
    },
}

/// One thing that is wrong with what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where, as a path into the request: `properties.destinations.monitoringAccounts[0].accountResourceId`.
    pub target: String,
    /// What is wrong, for people, with the mend.
    pub message: String,
}

/// Why a change was not made, or the store cannot be used. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such subscription.
    #[error("the subscription {0} does not exist")]
    NoSubscription(String),
    /// There is no such resource group.
    #[error("the resource group {group:?} does not exist in the subscription {subscription}")]
    NoGroup {
        /// The subscription's id.
        subscription: String,
        /// The group's name.
        group: String,
    },
    /// There is no such resource.
    #[error("{0} does not exist")]
    NotFound(ResourceId),
    /// There is no such application, secret, certificate, federation or deleted workspace.
    #[error("there is no {what} {id:?}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The resource is not in the state that the precondition names.
    #[error("{}", describe_state(.current.as_deref()))]
    PreconditionFailed {
        /// What it is now; none when the resource does not exist.
        current: Option<String>,
    },
    /// It cannot be made or deleted because of something that exists.
    #[error("{message}")]
    Conflict {
        /// Azure's code: `RoleAssignmentExists`, `Conflict`, `ResourceGroupBeingManaged` …
        code: &'static str,
        /// For people, with the mend.
        message: String,
    },
    /// Everything that is wrong with what was asked for.
    #[error("{}", describe(.0))]
    Invalid(Vec<Problem>),
    /// The file was written by a newer version.
    #[error(
        "the catalogue {path} has layout {found}, this remora knows layouts up to {known}: use the remora that wrote it, or a newer one"
    )]
    NewerLayout {
        /// The file.
        path: String,
        /// Its layout.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The database cannot be read or written: disk full, damaged file.
    #[error("the catalogue cannot be {action}: {reason}")]
    Database {
        /// `opened`, `read`, `written`.
        action: &'static str,
        /// What the database says.
        reason: String,
    },
}

impl Kinded for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSubscription(_) | Self::NoGroup { .. } | Self::NotFound(_) | Self::Unknown { .. } => {
                ErrorKind::NotFound
            }
            Self::PreconditionFailed { .. } => ErrorKind::PreconditionFailed,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NewerLayout { .. } | Self::Database { .. } => ErrorKind::Unavailable,
        }
    }
}

fn describe_state(current: Option<&str>) -> String {
    match current {
        Some(etag) => format!(
            "the resource is not in the state that the request asks for: it exists, with the etag \"{etag}\"; read it again \
             and repeat the change"
        ),
        None => "the resource is not in the state that the request asks for: it does not exist (any more)".to_owned(),
    }
}

fn describe(problems: &[Problem]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.target, problem.message)).collect();
    lines.join("; ")
}
