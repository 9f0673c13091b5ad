//! Keeps the local authority's principals as the catalogue says: applications and managed identities, with what they prove
//! themselves by.

use std::sync::Arc;

use authority::{Authority, ClientSecret, RegisteredCertificate};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::{Change, Observer, Snapshot};
use environment::UnixTime;

/// Replaces an authority's principals with every change of them.
pub(crate) struct Principals(pub(crate) Arc<Authority>);

impl Principals {
    /// Gives the authority the principals of `snapshot`.
    pub(crate) fn put(&self, snapshot: &Snapshot) {
        let applications = snapshot.applications().values().map(|known| application(known)).collect();
        let identities = snapshot.identities().values().map(|known| identity(known)).collect();
        if let Err(error) = self.0.replace_principals(applications, identities) {
            tracing::error!(%error, "The authority keeps the principals that it had");
        }
    }
}

impl Observer for Principals {
    fn changed(&self, now: &Arc<Snapshot>, changes: &[Change]) {
        if changes.iter().any(|change| matches!(change, Change::Principals)) {
            self.put(now);
        }
    }
}

/// What of its credentials cannot be read is left out with a warning: it proves nothing, and must not take the others away.
fn application(known: &catalog::Application) -> authority::Application {
    let refused = |what: &str, error: String| {
        tracing::warn!(client_id = %known.client_id, error, what, "What an application proves itself by is not used");
    };
    let secrets = known.secrets.iter().filter_map(|secret| {
        let own = ClientSecret::from_sha256_hex(&secret.sha256_hex);
        let own = own.inspect_err(|error| refused("secret", error.to_string())).ok()?;
        Some(secret.expires_at.map_or(own.clone(), |at| own.expiring_at(UnixTime::from_secs(at))))
    });
    let certificates = known.certificates.iter().filter_map(|certificate| {
        let der = STANDARD.decode(&certificate.der_base64);
        let der = der.inspect_err(|error| refused("certificate", error.to_string())).ok()?;
        let registered = RegisteredCertificate::from_der(&der);
        registered.inspect_err(|error| refused("certificate", error.to_string())).ok()
    });
    authority::Application {
        client_id: known.client_id,
        object_id: known.object_id,
        name: known.name.clone(),
        secrets: secrets.collect(),
        certificates: certificates.collect(),
        federations: known.federations.iter().map(federation).collect(),
    }
}

fn identity(known: &catalog::Identity) -> authority::ManagedIdentity {
    authority::ManagedIdentity {
        client_id: known.client_id,
        object_id: known.principal_id,
        resource_id: known.envelope.id.clone(),
        is_default: known.is_default,
        federations: known.federations.iter().map(federation).collect(),
    }
}

fn federation(known: &catalog::Federation) -> authority::Federation {
    authority::Federation {
        issuer: known.issuer.clone(),
        subject: known.subject.clone(),
        audience: known.audience.clone(),
        key_set: known.key_set.clone(),
    }
}
