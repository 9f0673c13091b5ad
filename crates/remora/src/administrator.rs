//! The application that administers an installation with a local authority first: it gives others their roles.
//!
//! Made once. Its ids and its secret are files in the data directory, for the owner alone.

use std::path::{Path, PathBuf};

use access::{RoleAssignment, roles};
use anyhow::Context;
use catalog::ApplicationSecret;
use environment::{Disk, Rng};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::declared::DeclaredApplication;
use crate::installation::{application_secret, uuid};
use crate::private_file;

/// The administrator, with its secret as the catalogue knows it.
pub(crate) struct Administrator {
    pub(crate) client_id: Uuid,
    object_id: Uuid,
    secret: ApplicationSecret,
    pub(crate) secret_file: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ids {
    client_id: Uuid,
    object_id: Uuid,
}

impl Administrator {
    /// Finds it in the data directory, or draws it.
    ///
    /// # Errors
    /// When a file cannot be read, written or understood.
    pub(crate) fn open(directory: &Path, disk: &dyn Disk, rng: &dyn Rng) -> anyhow::Result<Self> {
        let secrets = directory.join("secrets");
        disk.create_directory(&secrets).with_context(|| format!("cannot make {}", secrets.display()))?;
        let (ids_file, secret_file) = (secrets.join("admin.json"), secrets.join("admin-secret"));
        let at = || ids_file.display().to_string();
        let ids = match private_file::read(disk, &ids_file).with_context(at)? {
            Some(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged: restore it, or remove it to get another admin", at()))?,
            None => {
                let ids = Ids { client_id: uuid(rng), object_id: uuid(rng) };
                let text = serde_json::to_vec_pretty(&ids).context("ids are plain data")?;
                private_file::replace(disk, &ids_file, &text).with_context(at)?;
                ids
            }
        };
        let secret = application_secret(&secret_file, disk, rng)?;
        Ok(Self { client_id: ids.client_id, object_id: ids.object_id, secret, secret_file })
    }

    /// As it is declared.
    pub(crate) fn application(&self) -> DeclaredApplication {
        DeclaredApplication {
            name: "admin".to_owned(),
            client_id: self.client_id,
            object_id: self.object_id,
            secrets: vec![self.secret.clone()],
            certificates: Vec::new(),
            federations: Vec::new(),
        }
    }

    /// Owner of everything.
    pub(crate) fn role(&self) -> RoleAssignment {
        RoleAssignment {
            principal_id: self.object_id.to_string(),
            issuer: None,
            role_definition_id: roles::OWNER.to_owned(),
            scope: "/".parse().expect("the root is an id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use host::{HostDisk, HostRng};

    use super::*;

    #[test]
    fn drawn_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Administrator::open(directory.path(), &HostDisk, &HostRng).unwrap();
        let (first, second) = (open(), open());
        assert_eq!((first.client_id, first.object_id), (second.client_id, second.object_id));
        assert_eq!(first.secret.sha256_hex, second.secret.sha256_hex);
        std::fs::remove_file(&first.secret_file).unwrap();
        assert_ne!(open().secret.sha256_hex, first.secret.sha256_hex);
    }
}
