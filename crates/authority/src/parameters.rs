//! Form bodies and queries → parameters, each at most once.

use std::borrow::Cow;
use std::collections::HashMap;

use url::form_urlencoded;
use zeroize::Zeroize as _;

/// Decoded parameters. They hold secrets: no `Debug`, wiped when dropped.
pub(crate) struct Parameters(HashMap<String, String>);

/// A form that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ParametersError {
    TooMany,
    Duplicate(String),
}

impl Parameters {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParametersError> {
        let mut parameters = Self(HashMap::new());
        for (name, value) in form_urlencoded::parse(text) {
            if parameters.0.len() == PARAMETERS_MAX {
                return Err(ParametersError::TooMany);
            }
            if parameters.0.contains_key(&*name) {
                return Err(ParametersError::Duplicate(name.into_owned()));
            }
            parameters.0.insert(name.into_owned(), value.into_owned());
        }
        Ok(parameters)
    }

    /// The value; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Adds what came another way; `false` when it is there already.
    pub(crate) fn add(&mut self, name: &str, value: Cow<'_, str>) -> bool {
        if self.0.contains_key(name) {
            return false;
        }
        self.0.insert(name.to_owned(), value.into_owned());
        true
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        self.0.values_mut().for_each(|value| value.zeroize());
    }
}

/// More than any client sends.
const PARAMETERS_MAX: usize = 64;
