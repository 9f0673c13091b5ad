//! `remora principal` and `remora identity`: who there is in the local directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::service::{Confirmation, NewTags, ServiceOptions};

/// Manage applications of the local directory, and what they prove who they are with.
///
/// An application may then ask the local authority for tokens; what they are good for is said by its roles
/// (`remora role create --principal NAME`). In Entra, its administrator does this.
#[derive(Args, Debug)]
pub(crate) struct Principal {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: PrincipalVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PrincipalVerb {
    /// Make an application, which needs a secret, certificate or federation before it can be used.
    Create {
        /// Its name.
        name: String,
    },
    /// List applications and managed identities.
    List,
    /// Show one with its secrets (never their values), certificates and federations.
    Show {
        /// Object id, client id or name.
        principal: String,
    },
    /// Delete an application. Its role assignments stay and give nobody anything.
    Delete {
        /// Object id, client id or name.
        principal: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    AddSecret(AddSecret),
    AddCertificate(AddCertificate),
    AddFederation(AddFederation),
    /// Take a secret away.
    RemoveSecret(RemoveKey),
    /// Take a certificate away.
    RemoveCertificate(RemoveKey),
    /// Take a federation away.
    RemoveFederation {
        /// Object id, client id or name of the principal.
        principal: String,
        /// The federation's name.
        name: String,
    },
}

/// Make a new secret. It is printed once, on standard output and nothing else is, and is known to nobody afterwards.
#[derive(Args, Debug)]
pub(crate) struct AddSecret {
    /// Object id, client id or name of the application.
    pub(crate) principal: String,
    /// A name for people
    #[arg(long, value_name = "NAME", default_value = "remora")]
    pub(crate) name: String,
    /// For how many days it is good
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: u32,
    /// Write it into this new file, which its owner alone may read, and print nothing of it
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) output_file: Option<PathBuf>,
}

/// Let an application sign with the key of a certificate.
#[derive(Args, Debug)]
pub(crate) struct AddCertificate {
    /// Object id, client id or name of the application.
    pub(crate) principal: String,
    /// PEM file with the certificate; a private key in it is neither used nor sent.
    pub(crate) file: PathBuf,
    /// A name for people
    #[arg(long, value_name = "NAME", default_value = "remora")]
    pub(crate) name: String,
}

/// Let tokens of another issuer stand for a principal, such as those of a cluster's service account.
#[derive(Args, Debug)]
pub(crate) struct AddFederation {
    /// Object id, client id or name of the application or managed identity.
    pub(crate) principal: String,
    /// The federation's name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// `iss` of the tokens
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,
    /// `sub` of the tokens, such as system:serviceaccount:NAMESPACE:NAME
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// `aud` of the tokens
    #[arg(long, value_name = "AUDIENCE", default_value = "api://AzureADTokenExchange")]
    pub(crate) audience: String,
}

/// Which secret or certificate.
#[derive(Args, Debug)]
pub(crate) struct RemoveKey {
    /// Object id, client id or name of the application.
    pub(crate) principal: String,
    /// Its id, as `remora principal show` prints it.
    pub(crate) key_id: Uuid,
}

/// Manage managed identities, which machines of the local authority's IMDS have.
#[derive(Args, Debug)]
pub(crate) struct Identity {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(subcommand)]
    pub(crate) verb: IdentityVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityVerb {
    /// List managed identities.
    List,
    /// Show one managed identity.
    Show {
        /// Its name or ARM id.
        identity: String,
    },
    /// Make a managed identity.
    Create {
        /// Its name.
        name: String,
        /// Its region [default: that of the resource group]
        #[arg(long, value_name = "REGION")]
        location: Option<String>,
        #[command(flatten)]
        tags: NewTags,
    },
    /// Delete a managed identity. Its role assignments stay and give nobody anything.
    Delete {
        /// Its name or ARM id.
        identity: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}
