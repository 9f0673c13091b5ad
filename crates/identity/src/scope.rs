//! What a token is asked for: an audience, in the two spellings that endpoints want.

use std::fmt;

use crate::SettingError;

/// The audience of a token.
///
/// The v2 token endpoint demands `<audience>/.default`; IMDS and its relatives want the bare audience. Both spellings are
/// accepted and either can be made of the other. A trailing slash of the audience is part of its name and is kept:
/// `https://monitor.azure.com//.default` is the audience `https://monitor.azure.com/`, which is what Prometheus asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    audience: String,
}

const SUFFIX: &str = "/.default";
const SCOPE_BYTES_MAX: usize = 512;

impl Scope {
    /// Reads an audience with or without `/.default`.
    ///
    /// # Errors
    /// When it is empty, longer than 512 bytes, or not one printable ASCII word.
    pub fn parse(text: &str) -> Result<Self, SettingError> {
        let text = text.trim();
        let audience = text.strip_suffix(SUFFIX).unwrap_or(text);
        let one_word = text.bytes().all(|byte| byte.is_ascii_graphic());
        if audience.trim_matches('/').is_empty() || text.len() > SCOPE_BYTES_MAX || !one_word {
            return Err(SettingError::Scope(text.chars().take(80).collect()));
        }
        Ok(Self { audience: audience.to_owned() })
    }

    /// The audience alone, as IMDS takes it in `resource=`.
    pub fn resource(&self) -> &str {
        &self.audience
    }

    /// The audience with `/.default`, as the v2 token endpoint takes it in `scope=`.
    pub fn v2(&self) -> String {
        format!("{}{SUFFIX}", self.audience)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.audience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_follow_from_either() {
        for (text, resource, v2) in [
            ("https://monitor.azure.com", "https://monitor.azure.com", "https://monitor.azure.com/.default"),
            ("https://monitor.azure.com/.default", "https://monitor.azure.com", "https://monitor.azure.com/.default"),
            (
                "https://monitor.azure.com//.default",
                "https://monitor.azure.com/",
                "https://monitor.azure.com//.default",
            ),
            ("https://monitor.azure.us/", "https://monitor.azure.us/", "https://monitor.azure.us//.default"),
            ("api://00000000-1111/.default", "api://00000000-1111", "api://00000000-1111/.default"),
            (" https://monitor.azure.cn \n", "https://monitor.azure.cn", "https://monitor.azure.cn/.default"),
        ] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!((scope.resource(), scope.v2().as_str()), (resource, v2), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_audience_is_refused() {
        let long = "x".repeat(513);
        for text in ["", " ", "/.default", "//.default", "https://a https://b", "https://a\u{e9}", &long] {
            assert!(Scope::parse(text).is_err(), "{text}");
        }
    }
}
