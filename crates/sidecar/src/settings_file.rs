//! The settings file: YAML of sections with keys, in; each key's text and line, out, or everything that is out of place.
//!
//! What a value means is not decided here: it is read as the variable is that its key stands for, so that both have the
//! same rules and the same messages.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::mistake::{Mistake, Place};
use crate::variables;

/// A settings file that has been read.
#[derive(Clone, Debug)]
pub(crate) struct SettingsFile {
    values: Vec<Value>,
}

/// One key with its value.
#[derive(Clone, Debug)]
struct Value {
    key: String,
    text: String,
    place: Place,
}

impl SettingsFile {
    /// Reads the file at `path`. What is out of place is added to `mistakes`, and the rest is there all the same.
    pub(crate) fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> Self {
        let name: Arc<str> = path.display().to_string().into();
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot be read: {error}; give a readable YAML file of at most 1 MiB");
                mistakes.push(Mistake { place: Place::File(name), message });
                return Self { values: Vec::new() };
            }
        };
        Self::parse(&text, name, mistakes)
    }

    fn parse(text: &str, name: Arc<str>, mistakes: &mut Vec<Mistake>) -> Self {
        let mut file = Self { values: Vec::new() };
        let document: Option<Spanned<Node>> = match serde_saphyr::from_str(text) {
            Ok(document) => document,
            Err(error) => {
                let error = error.without_snippet().to_string();
                mistakes.push(Mistake {
                    place: Place::File(name),
                    message: format!("is not YAML that is understood: {error}"),
                });
                return file;
            }
        };
        match document.map(|document| document.value) {
            None | Some(Node::Scalar(None)) => {}
            Some(Node::Mapping(entries)) => file.take(&name, "", entries, mistakes),
            Some(Node::Scalar(_) | Node::Sequence(_)) => {
                let message = "holds no sections: write `target:` and below it `  ingestion_url: …`".to_owned();
                mistakes.push(Mistake { place: Place::File(name), message });
            }
        }
        file
    }

    /// The text of a key and where it stands; none if it is absent or empty.
    pub(crate) fn find(&self, key: &str) -> Option<(&str, &Place)> {
        let value = self.values.iter().find(|value| value.key == key)?;
        Some((value.text.as_str(), &value.place))
    }

    fn take(
        &mut self,
        file: &Arc<str>,
        section: &str,
        entries: Vec<(Spanned<String>, Spanned<Node>)>,
        mistakes: &mut Vec<Mistake>,
    ) {
        for (name, node) in entries {
            let key = if section.is_empty() { name.value } else { format!("{section}.{}", name.value) };
            let place = Place::Key { key: key.clone(), file: Arc::clone(file), line: name.referenced.line() };
            let known = variables::by_key(&key).is_some();
            let is_section = section.is_empty() && is_section(&key);
            let wrong = match node.value {
                Node::Mapping(entries) if is_section => {
                    self.take(file, &key, entries, mistakes);
                    continue;
                }
                Node::Scalar(None) if known || is_section => continue,
                Node::Scalar(Some(text)) if known => {
                    self.values.push(Value { key, text, place });
                    continue;
                }
                // The only list among the settings, and people write it as one.
                Node::Sequence(items) if key == LIST => {
                    self.values.push(Value { key, text: items.join(","), place });
                    continue;
                }
                _ if is_section => format!("is a section: write its keys below it, such as {}", keys_of(&key)),
                Node::Mapping(_) if known => "takes one value: write it behind the colon".to_owned(),
                Node::Sequence(_) if known => "takes one value, not a list: write it behind the colon".to_owned(),
                _ => unknown(&key),
            };
            mistakes.push(Mistake { place, message: wrong });
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than that"));
    }
    Ok(text)
}

fn is_section(name: &str) -> bool {
    keys().any(|key| key.split_once('.').is_some_and(|(section, _)| section == name))
}

fn keys_of(section: &str) -> String {
    let of_section = keys().filter_map(|key| key.strip_prefix(section)?.strip_prefix('.'));
    of_section.take(2).collect::<Vec<_>>().join(" or ")
}

fn keys() -> impl Iterator<Item = &'static str> {
    variables::all().filter_map(|variable| variable.key)
}

/// What to write in the place of a key that nobody knows.
fn unknown(key: &str) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    // By their last words: `ingestion_url` alone at the top is meant as `target.ingestion_url`. The right section decides
    // between keys that are as near.
    let likeness = |known: &str| {
        let same_section = known.split('.').next() == key.split('.').next();
        strsim::jaro_winkler(&last(key), &last(known)) + if same_section { 0.01 } else { 0.0 }
    };
    let variable = variables::by_name(key).and_then(|variable| variable.key);
    let sections = keys().filter_map(|known| known.split_once('.')).map(|(section, _)| section);
    let candidates = keys().chain(sections.filter(|_| !key.contains('.')));
    let nearest =
        candidates.map(|known| (known, likeness(known))).max_by(|(_, left), (_, right)| left.total_cmp(right));
    let nearest = nearest.filter(|(_, likeness)| *likeness > 0.85).map(|(known, _)| known);
    match variable.or(nearest) {
        Some(known) => format!("is not known: did you mean {known}?"),
        None => "is not known: remove it, or look up its name with --help".to_owned(),
    }
}

/// A YAML node as far as settings have them.
enum Node {
    /// A value as text; none for `null` and nothing.
    Scalar(Option<String>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
    Sequence(Vec<String>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a section")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(None))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Some(value.to_string())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Some(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Some(value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Some(value.to_string())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Some(value.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }
}

/// The one key whose value may be a list.
const LIST: &str = "outbound.no_proxy";

const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests;
