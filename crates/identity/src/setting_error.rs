//! A setting that cannot be used, found before anything is asked of anyone.

/// A setting that cannot be used; says which and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingError {
    /// Not the name of a cloud.
    #[error("unknown cloud {0:?}: use AZUREPUBLIC, AZUREGOVERNMENT, AZURECHINA or AZURECUSTOM")]
    Cloud(String),
    /// Not an audience.
    #[error("audience {0:?} is not usable: give one URL such as https://monitor.azure.com/.default")]
    Scope(String),
    /// Not an authority.
    #[error("authority {url:?} {reason}: give a base URL such as https://login.microsoftonline.com")]
    Authority {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a directory id or domain.
    #[error("tenant id {0:?} is not usable: give the directory's GUID or a domain of it")]
    Tenant(String),
    /// Not a client id.
    #[error("client id {0:?} is not usable: give the application (client) id, a GUID")]
    ClientId(String),
    /// Not the address of a managed identity endpoint.
    #[error("{variable} is {url:?}, which {reason}: give an absolute http or https URL")]
    Endpoint {
        /// The variable that names the endpoint.
        variable: &'static str,
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A managed identity source that exists but is not implemented here.
    #[error(
        "managed identity of {source_name} is not supported ({variable} is set): unset it, or use another credential"
    )]
    UnsupportedSource {
        /// The Azure product.
        source_name: &'static str,
        /// The variable that selects it.
        variable: &'static str,
    },
    /// The default credential found nothing to try.
    #[error(
        "no credential is configured: set AZURE_CLIENT_ID, AZURE_TENANT_ID and a secret, a certificate or a token file"
    )]
    NothingConfigured,
}
