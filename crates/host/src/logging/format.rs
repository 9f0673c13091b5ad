//! One event as one line.

use std::fmt::{self, Write as _};

use environment::UnixTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Rfc3339;
use crate::clock::unix_now;

/// Writes events as logrus' text formatter does when its output is not a terminal. Spans are not shown.
#[derive(Clone, Copy, Debug)]
pub struct LogrusText {
    now: fn() -> UnixTime,
}

impl LogrusText {
    /// With the system's time.
    pub fn new() -> Self {
        Self { now: unix_now }
    }
}

impl Default for LogrusText {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, N> FormatEvent<S, N> for LogrusText
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.others.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let mut line = format!("time=\"{}\" level={}", Rfc3339((self.now)()), level_name(*event.metadata().level()));
        if !fields.message.is_empty() {
            line.push_str(" msg=");
            push_value(&fields.message, &mut line);
        }
        for (name, value) in &fields.others {
            line.push(' ');
            // A field must not pass for one of the line's own.
            if matches!(name.as_str(), "time" | "level" | "msg") {
                line.push_str("fields.");
            }
            line.push_str(name);
            line.push('=');
            push_value(value, &mut line);
        }
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.others.push((field.name().to_owned(), value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // `Debug` would write 0 as `0.0`; Go writes `0`.
        self.add(field, value.to_string());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, value.to_string());
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The value as it is if it consists of harmless characters only, otherwise quoted as Go's `%q` does. Line breaks are
/// always escaped, so that nobody forges a line.
fn push_value(value: &str, line: &mut String) {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if value.bytes().all(bare) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for character in value.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\u{7}' => line.push_str("\\a"),
            '\u{8}' => line.push_str("\\b"),
            '\u{c}' => line.push_str("\\f"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\u{b}' => line.push_str("\\v"),
            ' '..='~' => line.push(character),
            '\0'..='\u{7f}' => push_escape(line, 'x', 2, character),
            printable if is_printable(printable) => line.push(printable),
            '\0'..='\u{ffff}' => push_escape(line, 'u', 4, character),
            _ => push_escape(line, 'U', 8, character),
        }
    }
    line.push('"');
}

fn push_escape(line: &mut String, letter: char, digits: usize, character: char) {
    write!(line, "\\{letter}{:0digits$x}", u32::from(character)).expect("writing to a string never fails");
}

/// Close to Go's `strconv.IsPrint` beyond ASCII: letters, marks, digits, punctuation and symbols, no space but the plain
/// one. Rust's own escaping knows the same classes.
fn is_printable(character: char) -> bool {
    !character.is_whitespace() && character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests;
