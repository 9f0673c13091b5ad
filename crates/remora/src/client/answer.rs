//! Reading of JSON that the service answers.

use environment::UnixTime;
use serde_json::Value;

/// The text at a JSON pointer; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    text_or(value, pointer, "")
}

/// The text at a JSON pointer, or another.
pub(crate) fn text_or<'a>(value: &'a Value, pointer: &str, otherwise: &'a str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or(otherwise)
}

/// The number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

/// A time to the second, as the service reads and writes it.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    jiff::Timestamp::from_second(time.as_secs()).map(|time| time.to_string()).unwrap_or_default()
}
