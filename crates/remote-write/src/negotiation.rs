//! Which message a request carries, told from its headers, and the header texts of both versions.
//!
//! As Prometheus' receiver does it: a missing type means the 1.0 message, a missing encoding means snappy, the version
//! header is not looked at. Media types follow RFC 9110 §8.3.1: type, subtype and parameter names in any case, values as
//! tokens or quoted, unknown parameters ignored. Message names are compared exactly, as protobuf names are.

use std::fmt;

use model::{ErrorKind, Kinded};

/// Header that names the protocol version.
pub const VERSION_HEADER: &str = "x-prometheus-remote-write-version";
/// Answer header with the number of samples written.
pub const SAMPLES_WRITTEN_HEADER: &str = "x-prometheus-remote-write-samples-written";
/// Answer header with the number of histograms written.
pub const HISTOGRAMS_WRITTEN_HEADER: &str = "x-prometheus-remote-write-histograms-written";
/// Answer header with the number of exemplars written.
pub const EXEMPLARS_WRITTEN_HEADER: &str = "x-prometheus-remote-write-exemplars-written";
/// The one content encoding spoken: snappy's block format.
pub const CONTENT_ENCODING: &str = "snappy";

/// A version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// 1.0: `prometheus.WriteRequest`.
    V1,
    /// 2.0: `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// Full name of the message.
    pub const fn message_name(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }

    /// The `Content-Type` to send. Version 1.0 goes without parameter, as its receivers expect.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The value to send in [`VERSION_HEADER`].
    pub const fn header_value(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }
}

/// A content type or encoding that is not spoken here (status 415).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnsupportedMedia {
    /// Another media type, or none that can be read.
    Type(String),
    /// A protobuf message of another name.
    Message(String),
    /// Another content encoding.
    Encoding(String),
}

impl fmt::Display for UnsupportedMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SPOKEN: &str = "send application/x-protobuf (remote write 1.0) or \
             application/x-protobuf;proto=io.prometheus.write.v2.Request (remote write 2.0)";
        match self {
            Self::Type(text) => write!(f, "content type {text:?} is not spoken here: {SPOKEN}"),
            Self::Message(name) => write!(f, "protobuf message {name:?} is not spoken here: {SPOKEN}"),
            Self::Encoding(text) => {
                write!(f, "content encoding {text:?} is not spoken here: compress with snappy (block format)")
            }
        }
    }
}

impl std::error::Error for UnsupportedMedia {}

impl Kinded for UnsupportedMedia {
    fn kind(&self) -> ErrorKind {
        ErrorKind::UnsupportedMedia
    }
}

/// The message that a request with these header values carries.
///
/// # Errors
/// A type, message or encoding that is not spoken here.
pub fn negotiate(content_type: Option<&str>, content_encoding: Option<&str>) -> Result<Version, UnsupportedMedia> {
    let encoding = content_encoding.unwrap_or("").trim_matches(OWS);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case(CONTENT_ENCODING) {
        return Err(UnsupportedMedia::Encoding(excerpt(encoding)));
    }
    version_of(content_type.unwrap_or("").trim_matches(OWS))
}

fn version_of(content_type: &str) -> Result<Version, UnsupportedMedia> {
    if content_type.is_empty() {
        return Ok(Version::V1);
    }
    let unreadable = || UnsupportedMedia::Type(excerpt(content_type));
    let (media_type, mut parameters) = content_type.split_at(content_type.find(';').unwrap_or(content_type.len()));
    if !media_type.trim_matches(OWS).eq_ignore_ascii_case("application/x-protobuf") {
        return Err(unreadable());
    }
    let mut message = None;
    while !parameters.is_empty() {
        let Some((name, value, rest)) = next_parameter(parameters) else { return Err(unreadable()) };
        parameters = rest;
        if name.eq_ignore_ascii_case("proto") && message.replace(value).is_some() {
            return Err(unreadable());
        }
    }
    match message {
        None => Ok(Version::V1),
        Some(name) if name == Version::V1.message_name() => Ok(Version::V1),
        Some(name) if name == Version::V2.message_name() => Ok(Version::V2),
        Some(name) => Err(UnsupportedMedia::Message(excerpt(&name))),
    }
}

/// Takes `; name=value` off the text: name (empty for a bare semicolon), value without quotes, rest.
fn next_parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.strip_prefix(';')?.trim_start_matches(OWS);
    if text.is_empty() || text.starts_with(';') {
        return Some(("", String::new(), text));
    }
    let (name, text) = text.split_once('=')?;
    let (value, rest) = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
            (text[..end].to_owned(), &text[end..])
        }
    };
    let rest = rest.trim_start_matches(OWS);
    let valid = !name.is_empty() && !name.contains(OWS) && (rest.is_empty() || rest.starts_with(';'));
    valid.then_some((name, value, rest))
}

/// The content of a quoted string whose first quote is taken already, and what follows the last.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

/// As much of a foreign text as an error may repeat.
fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Optional white space between the parts of a header value.
const OWS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests;
