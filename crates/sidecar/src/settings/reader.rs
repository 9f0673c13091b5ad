//! Reads one setting after the other, from the environment or the settings file, and collects what is wrong with them.

use std::cell::RefCell;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::SettingError;
use secrecy::SecretString;

use super::{CONFIG, Contents};
use crate::mistake::{Mistake, Place};
use crate::quantity;
use crate::settings_file::SettingsFile;
use crate::variables;

/// A setting as it was given.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// The variable, or the one that the key stands for.
    pub(crate) variable: &'static str,
    /// Its text; may be a secret.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) place: Place,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the text: it may be a secret.
        f.debug_struct("Given").field("variable", &self.variable).field("place", &self.place).finish_non_exhaustive()
    }
}

/// Reads settings. Every one is looked at whatever is wrong with another, so that one run names all mistakes.
pub(crate) struct Reader<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) file: Option<SettingsFile>,
    pub(super) has_arc_agent: &'a dyn Fn() -> bool,
    pub(super) mistakes: Vec<Mistake>,
    /// What was asked for and there, each once.
    pub(super) given: RefCell<Vec<Given>>,
    /// Files whose content is part of the settings.
    pub(super) contents: Contents,
}

impl<'a> Reader<'a> {
    /// Reads from `lookup` and the settings file `config`. Whether the machine has Azure Arc's agent is only asked if it
    /// matters.
    pub(crate) fn new(
        lookup: &'a dyn Fn(&str) -> Option<String>,
        config: Option<&Path>,
        has_arc_agent: &'a dyn Fn() -> bool,
    ) -> Self {
        let (mut mistakes, mut contents) = (Vec::new(), Contents::default());
        let file = config.map(|path| {
            contents.add(CONFIG, path, &read_bounded(path).unwrap_or_default());
            SettingsFile::read(path, &mut mistakes)
        });
        Self { lookup, file, has_arc_agent, mistakes, given: RefCell::default(), contents }
    }
}

impl Reader<'_> {
    /// A setting's text; none if it is absent or empty.
    pub(super) fn text(&self, variable: &'static str) -> Option<String> {
        let given = self.find(variable)?;
        let text = given.text.clone();
        let mut all = self.given.borrow_mut();
        if !all.iter().any(|other| other.variable == variable) {
            all.push(given);
        }
        Some(text)
    }

    pub(super) fn secret(&self, variable: &'static str) -> Option<SecretString> {
        self.text(variable).map(SecretString::from)
    }

    pub(super) fn path(&self, variable: &'static str) -> Option<PathBuf> {
        self.text(variable).map(PathBuf::from)
    }

    pub(super) fn mistake(&mut self, variable: &'static str, message: impl Into<String>) {
        let place = match self.find(variable) {
            Some(given) => given.place,
            None => {
                let known = variables::by_name(variable);
                let key = known.and_then(|known| known.key).filter(|_| self.file.is_some());
                Place::Unset { variable, key }
            }
        };
        self.mistakes.push(Mistake { place, message: message.into() });
    }

    pub(super) fn required(&mut self, variable: &'static str, mend: &str) -> Option<String> {
        let text = self.text(variable);
        if text.is_none() {
            self.mistake(variable, format!("is missing: {mend}"));
        }
        text
    }

    pub(super) fn mistake_of(&mut self, error: &SettingError) {
        self.mistake(variable_of(error), error.to_string());
    }

    pub(super) fn ok<T>(&mut self, result: Result<T, SettingError>) -> Option<T> {
        result.map_err(|error| self.mistake_of(&error)).ok()
    }

    pub(super) fn bool(&mut self, variable: &'static str) -> bool {
        let Some(text) = self.text(variable) else { return false };
        parse_bool(&text).unwrap_or_else(|| {
            self.mistake(variable, format!("{text:?} is neither true nor false: set it to one of them"));
            false
        })
    }

    /// One of the words of `known`; the first when nothing is given.
    pub(super) fn word<T: Copy>(&mut self, variable: &'static str, known: &[(&str, T)]) -> T {
        let Some(text) = self.text(variable) else { return known[0].1 };
        if let Some((_, value)) = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            return *value;
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        self.mistake(variable, format!("{text:?} is not known: set it to {}", words.join(", ")));
        known[0].1
    }

    pub(super) fn number(&mut self, variable: &'static str, default: usize, (min, max): (usize, usize)) -> usize {
        let Some(text) = self.text(variable) else { return default };
        match text.parse::<usize>() {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => {
                let mend = format!("set it to a whole number from {min} to {max}, usually {default}");
                self.mistake(variable, format!("{text:?} is out of range: {mend}"));
                default
            }
        }
    }

    pub(super) fn size(&mut self, variable: &'static str, default: u64, min: u64) -> u64 {
        let Some(text) = self.text(variable) else { return default };
        let message = match quantity::size(&text) {
            Ok(bytes) if bytes >= min => return bytes,
            Ok(_) => format!("is too small: give at least {}", quantity::show_size(min)),
            Err(wrong) => wrong,
        };
        self.mistake(variable, format!("{text:?} {message}"));
        default
    }

    pub(super) fn duration(
        &mut self,
        variable: &'static str,
        default: Duration,
        (min, max): (Duration, Duration),
    ) -> Duration {
        let Some(text) = self.text(variable) else { return default };
        let message = match quantity::duration(&text) {
            Ok(span) if span < min => format!("is too short: give at least {}", quantity::show_duration(min)),
            Ok(span) if span > max => format!("is too long: give at most {}", quantity::show_duration(max)),
            Ok(span) => return span,
            Err(wrong) => wrong,
        };
        self.mistake(variable, format!("{text:?} {message}"));
        default
    }

    /// The content of the file that a setting names, up to a bound. Remembered, so that a change of it is noticed.
    pub(super) fn content(&mut self, variable: &'static str) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(variable)?;
        match read_bounded(&path) {
            Ok(content) => {
                self.contents.add(variable, &path, &content);
                Some((path, content))
            }
            Err(error) => {
                let mend = "give a readable file of at most 1 MiB";
                self.mistake(variable, format!("{} cannot be read: {error}; {mend}", path.display()));
                // Watched all the same: it may come.
                self.contents.add(variable, &path, &[]);
                None
            }
        }
    }

    /// The one secret line that a file holds.
    pub(super) fn secret_content(&mut self, variable: &'static str) -> Option<SecretString> {
        let (path, content) = self.content(variable)?;
        let text = String::from_utf8(content).ok().map(|text| text.trim().to_owned()).filter(|text| {
            (1..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if text.is_none() {
            let mend = "write one line of visible ASCII characters without spaces into it";
            self.mistake(variable, format!("{} holds no secret: {mend}", path.display()));
        }
        text.map(SecretString::from)
    }

    fn find(&self, variable: &'static str) -> Option<Given> {
        let known = variables::by_name(variable);
        let value = |name: &str| (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if let Some(text) = value(variable) {
            return Some(Given { variable, text, place: Place::Variable(variable) });
        }
        let alias = known.and_then(|known| known.alias);
        if let Some((alias, text)) = alias.and_then(|alias| Some((alias, value(alias)?))) {
            return Some(Given { variable, text, place: Place::Variable(alias) });
        }
        let (text, place) = self.file.as_ref()?.find(known?.key?)?;
        let text = text.trim();
        (!text.is_empty()).then(|| Given { variable, text: text.to_owned(), place: place.clone() })
    }
}

pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Reads at most [`CONTENT_BYTES_MAX`] bytes.
pub(super) fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(CONTENT_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > CONTENT_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than that"));
    }
    Ok(content)
}

/// The variable to change when a part of the identity cannot be used.
fn variable_of(error: &SettingError) -> &'static str {
    match error {
        SettingError::Cloud(_) => "CLOUD",
        SettingError::Scope(_) => "INGESTION_AAD_AUDIENCE",
        SettingError::Authority { .. } => "AZURE_AUTHORITY_HOST",
        SettingError::Tenant(_) => "AZURE_TENANT_ID",
        SettingError::ClientId(_) => "AZURE_CLIENT_ID",
        SettingError::Endpoint { variable, .. } | SettingError::UnsupportedSource { variable, .. } => variable,
        SettingError::NothingConfigured => "IDENTITY_TYPE",
    }
}

const CONTENT_BYTES_MAX: u64 = 1 << 20;
const SECRET_BYTES_MAX: usize = 8 << 10;
