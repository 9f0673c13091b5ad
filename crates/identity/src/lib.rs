//! Tokens for outgoing calls: the credential kinds of Azure, and a cache that keeps one token fresh.
//!
//! A program picks a [`Credential`], puts it behind a [`TokenCache`], spawns [`TokenCache::run`] and lets each request call
//! [`TokenCache::token`]. Time, chance, files and the network come in through [`Environment`], so that a test can run days
//! of it in memory.
//!
//! Not here: reading variables or arguments (programs do), verifying tokens of incoming calls (`access`), any runtime.
//!
//! Invariants: no secret, assertion or token appears in an error, a log line or a `Debug` text; a failing credential
//! neither panics nor ends the refresh loop; secrets are only sent over https, or to loopback.

mod access_token;
mod backoff;
mod certificate;
mod client_certificate;
mod client_secret;
mod cloud;
mod credential;
mod default_credential;
mod entra;
mod error_answer;
mod exchange;
mod managed_identity;
mod mend;
mod scope;
mod setting_error;
#[cfg(test)]
mod test_support;
mod time_text;
mod token_answer;
mod token_cache;
mod token_error;
mod workload_identity;

pub use access_token::AccessToken;
pub use certificate::{CertificateError, SigningCertificate};
pub use client_certificate::ClientCertificate;
pub use client_secret::ClientSecret;
pub use cloud::Cloud;
pub use credential::{Credential, Environment};
pub use default_credential::{DefaultCredential, DefaultSettings};
pub use entra::{Application, Authority};
pub use managed_identity::{
    HIMDS_PATH, IMDS_BASE, IdentitySelector, IdentitySource, ManagedIdentity, ManagedIdentitySettings,
};
pub use scope::Scope;
pub use setting_error::SettingError;
pub use time_text::parse_http_date;
pub use token_answer::{AnswerError, TokenAnswer};
pub use token_cache::{REJECT_INTERVAL, SLICE, TokenCache, TokenState, WAIT_MAX};
pub use token_error::{TokenError, TokenErrorKind};
pub use workload_identity::WorkloadIdentity;
