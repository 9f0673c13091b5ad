//! `Microsoft.ManagedIdentity/userAssignedIdentities`: principals that programs here speak for, and the tokens of other
//! issuers that stand for them.

mod federated_credentials;
mod identities;

use std::sync::Arc;

use catalog::{Identity, key};

use crate::call::Call;
use crate::error::ArmError;
use crate::ids;

pub(crate) use federated_credentials::ROUTES as FEDERATED_CREDENTIALS;
pub(crate) use identities::ROUTES as IDENTITIES;

const VERSIONS: &[&str] =
    &["2015-08-31-preview", "2018-11-30", "2022-01-31-preview", "2023-01-31", "2023-07-31-preview", "2024-11-30"];

/// The identity that the path names, or that what it names belongs to.
fn identity(call: &Call) -> Result<Arc<Identity>, ArmError> {
    call.subscription()?;
    let id = ids::parse(&format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{}",
        call.param("subscription"),
        call.param("group"),
        call.param("identity"),
    ));
    let snapshot = call.snapshot();
    snapshot.identities().get(&key(&id)).cloned().ok_or_else(|| call.missing(&id, &snapshot))
}

#[cfg(test)]
mod tests;
