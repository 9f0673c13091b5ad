//! What is wrong with the settings, told so that a person can mend all of it in one go.

use std::fmt;
use std::sync::Arc;

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Where it stands, or what is missing.
    pub place: Place,
    /// What is wrong with it, and the mend.
    pub message: String,
}

/// Where a setting stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// An environment variable.
    Variable(&'static str),
    /// A key of the settings file.
    Key {
        /// Section and key.
        key: String,
        /// The file.
        file: Arc<str>,
        /// Its line, from 1.
        line: u64,
    },
    /// Nowhere: it can be given as either.
    Unset {
        /// The variable.
        variable: &'static str,
        /// The key, if there is one and a file to put it in.
        key: Option<&'static str>,
    },
    /// The settings file as a whole.
    File(Arc<str>),
}

/// All mistakes; there is at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidSettings(pub Vec<Mistake>);

impl Mistake {
    /// The variable that it is about, however it was given; none for an unknown key or a broken file.
    pub fn variable(&self) -> Option<&'static str> {
        match &self.place {
            Place::Variable(variable) | Place::Unset { variable, .. } => Some(variable),
            Place::Key { key, .. } => crate::variables::by_key(key).map(|variable| variable.name),
            Place::File(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) | Self::Unset { variable, key: None } => f.write_str(variable),
            Self::Unset { variable, key: Some(key) } => write!(f, "{variable} or {key}"),
            Self::Key { key, file, line } => write!(f, "{key} ({file}, line {line})"),
            Self::File(file) => f.write_str(file),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a mistake:")?,
            count => write!(f, "the configuration has {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for InvalidSettings {}
