//! Quoting as Go does it: error texts and printed expressions follow Prometheus' to the letter, and it quotes with `%q`.

use std::fmt::{self, Write};

/// Writes `text` in double quotes with Go's escapes; the result reads back as the same text.
pub(crate) fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        write_escaped(out, character, '"')?;
    }
    out.write_char('"')
}

/// `text` in double quotes, as `%q` prints it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_quoted(&mut out, text).expect("writing to a string cannot fail");
    out
}

/// Bytes as `%q` prints them: those that are no part of valid UTF-8 as `\xff`.
pub(crate) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            write_escaped(&mut out, character, '"').expect("writing to a string cannot fail");
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    out.push('"');
    out
}

/// `text` as `%.10q` prints it, with dots after it when it is longer than ten bytes.
pub(crate) fn quoted_short(text: &str) -> String {
    if text.len() <= 10 {
        return quoted(text);
    }
    let head: String = text.chars().take(10).collect();
    format!("{}...", quoted(&head))
}

/// A character as `%q` prints it; the end of the input prints as the replacement character.
pub(crate) fn quoted_char(character: Option<char>) -> String {
    let mut out = String::from("'");
    write_escaped(&mut out, character.unwrap_or(char::REPLACEMENT_CHARACTER), '\'')
        .expect("writing to a string cannot fail");
    out.push('\'');
    out
}

/// A character as `%#U` prints it: `U+0063 'c'`.
pub(crate) fn code_point(character: char) -> String {
    let mut out = format!("U+{:04X}", u32::from(character));
    if is_printable(character) {
        out.push_str(&format!(" '{character}'"));
    }
    out
}

fn write_escaped(out: &mut impl Write, character: char, quote: char) -> fmt::Result {
    match character {
        '\\' => out.write_str("\\\\"),
        '\u{7}' => out.write_str("\\a"),
        '\u{8}' => out.write_str("\\b"),
        '\u{c}' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\u{b}' => out.write_str("\\v"),
        _ if character == quote => write!(out, "\\{quote}"),
        // Go prints it as it is, but the lexer takes it for what is left of invalid UTF-8.
        char::REPLACEMENT_CHARACTER if quote == '"' => out.write_str("\\ufffd"),
        _ if is_printable(character) => out.write_char(character),
        _ if character < ' ' || character == '\u{7f}' => write!(out, "\\x{:02x}", u32::from(character)),
        _ if character <= '\u{ffff}' => write!(out, "\\u{:04x}", u32::from(character)),
        _ => write!(out, "\\U{:08x}", u32::from(character)),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the plain space.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    // The standard library's own table of printable characters, reached through `escape_debug`. A letter goes first because
    // a combining mark at the start of a text is escaped though it is printable.
    let mut buffer = [b'a'; 5];
    let length = character.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=length]).expect("an ASCII letter and a character are a text");
    text.escape_debug().nth(1) != Some('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go() {
        let cases = [
            ("plain", r#""plain""#),
            ("it's \"x\"\\", r#""it's \"x\"\\""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}\u{0}\u{7f}", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            ("日本\u{301}é", "\"日本\u{301}é\""),
            ("\u{a0}\u{200b}\u{e000}\u{1f600}\u{e0001}", "\"\\u00a0\\u200b\\ue000\u{1f600}\\U000e0001\""),
        ];
        for (text, expected) in cases {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(quoted_char(Some('\'')), r"'\''");
        assert_eq!(quoted_char(Some('"')), "'\"'");
        assert_eq!(quoted_char(None), "'\u{fffd}'");
        assert_eq!(quoted_short("0123456789a"), "\"0123456789\"...");
        assert_eq!(quoted_bytes(b"a\xff\xe6\x97\xa5\xe6\x97"), "\"a\\xff日\\xe6\\x97\"");
        assert_eq!(code_point('c'), "U+0063 'c'");
        assert_eq!(code_point('\n'), "U+000A");
    }
}
