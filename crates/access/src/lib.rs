//! Tokens of incoming calls and the rights of those who send them.
//!
//! [`Verifier`] turns a bearer token into a [`Principal`]: it knows the configured [`Issuer`]s, fetches their key sets
//! through `environment::HttpClient`, and refuses everything else with a [`TokenRefused`]. [`Policy`] turns a principal,
//! an [`Action`] and a resource into a [`Decision`], with Azure's role definitions; [`Policies`] are those in force.
//!
//! Invariants: a key verifies only tokens of the issuer it was fetched for; an algorithm outside [`Algorithm`] verifies
//! nothing; no token and no part of a signature is ever logged, kept or repeated in an error.
//! Not here: HTTP (headers and statuses are the edges'), tokens for outgoing calls (`identity`), what exists (`catalog`).

mod algorithm;
mod claims;
mod discovery;
mod issuer;
mod jws;
mod key_fetch;
mod key_set;
mod key_store;
mod policies;
mod policy;
mod principal;
mod refusal;
mod role;
#[cfg(test)]
mod signing;
mod verified_tokens;
mod verifier;

pub use algorithm::Algorithm;
pub use claims::Claims;
pub use issuer::{Issuer, IssuerError, LocalKeys};
pub use jws::{Header, Jws, MalformedToken};
pub use key_set::{KeySet, KeySetError, VerificationKey};
pub use policies::{Policies, Propagation};
pub use policy::{Action, Decision, Policy, PolicyError, READ_METRICS, RoleAssignment, WRITE_METRICS};
pub use principal::Principal;
pub use refusal::TokenRefused;
pub use role::{RoleDefinition, roles};
pub use verifier::{Verifier, VerifierSettings, VerifierStatistics};
