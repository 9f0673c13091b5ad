//! A local Entra: discovery, key sets, the token endpoint, and the metadata service for managed identities. For laptops,
//! CI and air-gapped sites; real clients (MSAL, the Azure SDKs, `az`, Prometheus) take it for the real one.
//!
//! [`Authority`] answers requests from its [`Config`]; [`AuthorityHandler`] puts it behind an HTTP server; [`LocalCa`]
//! makes the server's certificate. Its principals can be replaced while it runs.
//!
//! Invariants: every token carries the one configured issuer, which is never a Microsoft host, whatever host was asked;
//! no secret, assertion, token or private key appears in a log, an error or a `Debug` text; managed identities are given
//! out to processes of this machine only; everything read from a request is bounded.
//! Not here: what a principal may do (`access`), verifying tokens of incoming calls (`access`).

mod asked;
mod assertion;
mod authority;
mod certificate;
mod client_certificate;
mod config;
mod directory;
mod discovery;
mod entra_error;
mod federated_issuers;
mod files;
mod handler;
mod local_ca;
mod managed_identity;
mod parameters;
mod secret;
mod signing_key;
mod token;
mod token_endpoint;
mod utc;

pub use authority::{Authority, AuthorityError, Caller, Environment};
pub use certificate::{CertificateError, RegisteredCertificate};
pub use client_certificate::{MadeCertificate, MakeCertificateError, make_client_certificate};
pub use config::{Application, Config, ConfigError, Federation, ManagedIdentity, TokenLifetimes};
pub use files::FileError;
pub use handler::AuthorityHandler;
pub use local_ca::{LocalCa, LocalCaError, ServerCertificate};
pub use secret::{ClientSecret, SecretError};
pub use signing_key::SigningKeyError;
