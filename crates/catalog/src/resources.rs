//! The resources, as data.

use model::{AccountId, ResourceId};

/// How strictly a workspace treats what it is sent (design §5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// No success for what is not stored: partial failures are a 400 with counts and reasons.
    #[default]
    Strict,
    /// As Azure does it: silent drops, counted by reason.
    Azure,
}

/// An isolated store with a query endpoint (`Microsoft.Monitor/accounts`).
#[derive(Clone, PartialEq, Debug)]
pub struct Workspace {
    /// Its identity.
    pub account_id: AccountId,
    /// Its ARM id, the scope of roles on it.
    pub resource_id: ResourceId,
    /// Its name in query paths, unique in the installation without regard to case.
    pub handle: String,
    /// How strict it is.
    pub profile: Profile,
}

/// A host that accepts writes (`Microsoft.Insights/dataCollectionEndpoints`).
#[derive(Clone, PartialEq, Debug)]
pub struct Endpoint {
    /// Its ARM id.
    pub resource_id: ResourceId,
    /// `dce-` and 32 hexadecimal digits.
    pub immutable_id: String,
}

/// Routes a stream to workspaces (`Microsoft.Insights/dataCollectionRules`).
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Its ARM id, the scope of roles on it.
    pub resource_id: ResourceId,
    /// `dcr-` and 32 hexadecimal digits; its name in ingestion paths.
    pub immutable_id: String,
    /// The endpoint it is bound to, if any.
    pub endpoint: Option<ResourceId>,
    /// Streams it accepts.
    pub streams: Vec<String>,
    /// Workspaces it writes to.
    pub destinations: Vec<AccountId>,
}

impl Rule {
    /// Whether it accepts the stream; names compare without regard to case.
    pub fn accepts(&self, stream: &str) -> bool {
        self.streams.iter().any(|own| own.eq_ignore_ascii_case(stream))
    }
}
