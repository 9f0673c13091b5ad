//! The Azure clouds and the addresses that differ between them.

use std::fmt;
use std::str::FromStr;

use crate::{Scope, SettingError};

/// An Azure cloud, as the variable `CLOUD` names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Cloud {
    /// Azure public.
    #[default]
    Public,
    /// Azure US Government.
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
    /// Any other: authority and audience must be given.
    Custom,
}

impl Cloud {
    /// The base URL of the cloud's Entra authority; none for [`Cloud::Custom`].
    ///
    /// China has two host names; the newer is the one whose discovery document names itself as issuer.
    pub const fn authority_host(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("https://login.microsoftonline.com"),
            Self::UsGovernment => Some("https://login.microsoftonline.us"),
            Self::China => Some("https://login.partner.microsoftonline.cn"),
            Self::Custom => None,
        }
    }

    /// The audience of tokens for writing samples; none for [`Cloud::Custom`].
    pub const fn ingestion_audience(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("https://monitor.azure.com"),
            Self::UsGovernment => Some("https://monitor.azure.us"),
            Self::China => Some("https://monitor.azure.cn"),
            Self::Custom => None,
        }
    }

    /// The cloud whose ingestion audience `scope` is, if it is one of the known ones. A trailing slash does not count.
    pub fn of_ingestion_audience(scope: &Scope) -> Option<Self> {
        let given = scope.resource().trim_end_matches('/');
        [Self::Public, Self::UsGovernment, Self::China]
            .into_iter()
            .find(|cloud| cloud.ingestion_audience().is_some_and(|audience| audience.eq_ignore_ascii_case(given)))
    }

    /// The audience of tokens for querying; none for [`Cloud::Custom`].
    pub const fn query_audience(self) -> Option<&'static str> {
        match self {
            Self::Public => Some("https://prometheus.monitor.azure.com"),
            Self::UsGovernment => Some("https://prometheus.monitor.azure.us"),
            Self::China => Some("https://prometheus.monitor.azure.cn"),
            Self::Custom => None,
        }
    }
}

impl FromStr for Cloud {
    type Err = SettingError;

    /// Reads `AzurePublic`, `AZURE_PUBLIC` and the like: case and underscores do not count.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let folded: String = text.trim().chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
        match folded.as_str() {
            "azurepublic" | "azurecloud" => Ok(Self::Public),
            "azuregovernment" | "azureusgovernment" => Ok(Self::UsGovernment),
            "azurechina" | "azurechinacloud" => Ok(Self::China),
            "azurecustom" => Ok(Self::Custom),
            _ => Err(SettingError::Cloud(text.to_owned())),
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "AzurePublic",
            Self::UsGovernment => "AzureGovernment",
            Self::China => "AzureChina",
            Self::Custom => "AzureCustom",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_documented_form() {
        for (text, cloud) in [
            ("AZUREPUBLIC", Cloud::Public),
            ("AZURE_PUBLIC", Cloud::Public),
            ("AzureChina", Cloud::China),
            ("azure_china", Cloud::China),
            ("AZUREGOVERNMENT", Cloud::UsGovernment),
            ("AZURE_GOVERNMENT", Cloud::UsGovernment),
            ("AzureUSGovernment", Cloud::UsGovernment),
            (" AZURECUSTOM ", Cloud::Custom),
            ("AZURE_CUSTOM", Cloud::Custom),
        ] {
            assert_eq!(text.parse::<Cloud>().unwrap(), cloud, "{text}");
        }
        for text in ["", "Azure", "AzureGermany", "public"] {
            assert!(text.parse::<Cloud>().unwrap_err().to_string().contains("AZUREPUBLIC"), "{text}");
        }
    }

    #[test]
    fn a_cloud_reads_its_own_name() {
        for cloud in [Cloud::Public, Cloud::UsGovernment, Cloud::China, Cloud::Custom] {
            assert_eq!(cloud.to_string().parse::<Cloud>().unwrap(), cloud);
        }
    }
}
