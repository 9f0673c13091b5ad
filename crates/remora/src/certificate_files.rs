//! The service's certificate, read from files and read again when they change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use environment::{Clock, Disk};
use http_serving::Certificate;

use crate::settings::TlsFiles;

/// A certificate that follows its files.
pub(crate) struct CertificateFiles {
    files: TlsFiles,
    disk: Arc<dyn Disk>,
    current: (Vec<u8>, Vec<u8>),
    certificate: Arc<Certificate>,
}

impl CertificateFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or they are not a certificate and its key.
    pub(crate) fn load(files: TlsFiles, disk: Arc<dyn Disk>) -> anyhow::Result<Self> {
        let current = read(&files, &*disk)?;
        let certificate = Certificate::from_pem(host::tls::provider(), &current.0, &current.1)
            .with_context(|| format!("tls: {} and {} cannot be used", files.cert.display(), files.key.display()))?;
        Ok(Self { files, disk, current, certificate: Arc::new(certificate) })
    }

    /// The certificate, for a server; it changes by itself while [`follow`](Self::follow) runs.
    pub(crate) fn certificate(&self) -> Arc<Certificate> {
        Arc::clone(&self.certificate)
    }

    /// Looks at the files now and then, for ever. While they make no sense (half of a pair is written, say) the old
    /// certificate stays.
    pub(crate) async fn follow(mut self, clock: Arc<dyn Clock>) {
        let mut complaint = String::new();
        loop {
            clock.sleep(INTERVAL).await;
            match self.refresh() {
                Ok(changed) => {
                    complaint.clear();
                    if changed {
                        tracing::info!(file = %self.files.cert.display(), "TLS certificate replaced");
                    }
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    // Said once for each reason, not every few seconds.
                    if text != complaint {
                        tracing::warn!(error = text, "TLS certificate not replaced, the old one stays");
                        complaint = text;
                    }
                }
            }
        }
    }

    fn refresh(&mut self) -> anyhow::Result<bool> {
        let latest = read(&self.files, &*self.disk)?;
        if latest == self.current {
            return Ok(false);
        }
        self.certificate.replace(&latest.0, &latest.1)?;
        self.current = latest;
        Ok(true)
    }
}

fn read(files: &TlsFiles, disk: &dyn Disk) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let read = |path| disk.read(path).with_context(|| format!("tls: cannot read {}", path.display()));
    Ok((read(&files.cert)?, read(&files.key)?))
}

/// Time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(5);
