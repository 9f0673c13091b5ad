//! `Microsoft.ManagedIdentity/userAssignedIdentities`: principals that programs here speak for, and the tokens of other
//! issuers that stand for them.

mod federated_credentials;
mod identities;

pub(crate) use federated_credentials::ROUTES as FEDERATED_CREDENTIALS;
pub(crate) use identities::ROUTES as IDENTITIES;

const VERSIONS: &[&str] =
    &["2015-08-31-preview", "2018-11-30", "2022-01-31-preview", "2023-01-31", "2023-07-31-preview", "2024-11-30"];
