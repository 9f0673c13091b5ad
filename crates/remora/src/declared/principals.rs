//! Declared applications of the local authority, with what they prove themselves by.

use catalog::{ApplicationCertificate, ApplicationSecret, ApplicationSpec, CredentialChange, Federation, Store};
use uuid::Uuid;

use super::{actor, is_of_the_store};

/// An application that is to be there.
#[derive(Debug)]
pub(crate) struct DeclaredApplication {
    pub(crate) name: String,
    pub(crate) client_id: Uuid,
    pub(crate) object_id: Uuid,
    pub(crate) secrets: Vec<ApplicationSecret>,
    pub(crate) certificates: Vec<ApplicationCertificate>,
    pub(crate) federations: Vec<Federation>,
}

impl DeclaredApplication {
    /// Makes the application, and what of its credentials was never made: a secret that is drawn anew, because its file was
    /// deleted, is a new one.
    ///
    /// # Errors
    /// When the catalogue cannot be read or written.
    pub(super) async fn make(&self, store: &Store) -> anyhow::Result<()> {
        let name = format!("application/{}", self.client_id);
        if !store.catalog().snapshot().is_declared(&name) {
            // One that was made before a crash could be noted is there.
            if !self.exists(store) {
                let ids = Some((self.client_id, self.object_id));
                let spec = ApplicationSpec { name: self.name.clone(), ids, ..ApplicationSpec::default() };
                store.create_application(&actor(), spec).await?;
            }
            store.declare(&name).await?;
        }
        for secret in &self.secrets {
            let digest = &secret.sha256_hex;
            self.add(store, &format!("{name}/secret/{digest}"), CredentialChange::AddSecret(secret.clone())).await?;
        }
        for certificate in &self.certificates {
            let change = CredentialChange::AddCertificate(certificate.clone());
            self.add(store, &format!("{name}/certificate/{}", certificate.der_base64), change).await?;
        }
        for federation in &self.federations {
            let change = CredentialChange::PutFederation(federation.clone());
            self.add(store, &format!("{name}/federation/{}", federation.name), change).await?;
            self.follow_issuer(store, federation).await?;
        }
        Ok(())
    }

    fn exists(&self, store: &Store) -> bool {
        store.catalog().snapshot().applications().contains_key(&self.client_id)
    }

    /// A crash between adding and noting adds it twice at worst, which takes nothing away.
    async fn add(&self, store: &Store, name: &str, change: CredentialChange) -> anyhow::Result<()> {
        if store.catalog().snapshot().is_declared(name) || !self.exists(store) {
            return Ok(());
        }
        match store.change_application(&actor(), self.client_id, change).await {
            Ok(_) => {}
            Err(error) if is_of_the_store(&error) => return Err(error.into()),
            Err(error) => {
                tracing::error!(declared = name, %error, "Not made; it is tried again at the next start");
                return Ok(());
            }
        }
        store.declare(name).await?;
        Ok(())
    }

    /// The issuer of this process is named after the address that it listens on, which another start may choose otherwise.
    async fn follow_issuer(&self, store: &Store, declared: &Federation) -> anyhow::Result<()> {
        let snapshot = store.catalog().snapshot();
        let current = (snapshot.applications().get(&self.client_id))
            .and_then(|application| application.federations.iter().find(|known| known.name == declared.name));
        if let Some(known) = current.filter(|known| known.issuer != declared.issuer) {
            let federation = Federation { issuer: declared.issuer.clone(), ..known.clone() };
            store.change_application(&actor(), self.client_id, CredentialChange::PutFederation(federation)).await?;
        }
        Ok(())
    }
}
