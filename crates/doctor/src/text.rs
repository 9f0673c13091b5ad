//! Words of others and figures, made fit for a report.

use std::time::Duration;

/// One line of at most `chars_max` characters without control characters; what looks like a token, and `secret`, is gone.
pub(crate) fn excerpt(text: &[u8], secret: &str, chars_max: usize) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * chars_max + 2 * secret.len())]);
    let text = if secret.is_empty() { text.into_owned() } else { text.replace(secret, "***") };
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line: Vec<String> = words.map(without_token).collect();
    let line = line.join(" ");
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// JSON web tokens begin with `{"` in base64.
fn without_token(word: &str) -> String {
    let Some(start) = word.find("eyJ") else { return word.to_owned() };
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "-_.=+/".contains(c);
    let end = word[start..].find(|c| !is_of_token(c)).map_or(word.len(), |length| start + length);
    if end - start <= TOKEN_CHARS_MIN {
        return word.to_owned();
    }
    format!("{}***{}", &word[..start], &word[end..])
}

/// A span as people say it: its two largest units.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A size as people say it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// Shorter ones hold no claims.
const TOKEN_CHARS_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_secrets_never_get_through() {
        for (text, shown) in [
            ("you sent Bearer eyJhbGciOiJQUzI1NiJ9.eyJhIjoxfQ.c2ln!", "you sent Bearer ***!"),
            ("\"eyJhbGciOiJQUzI1NiJ9.eyJhIjoxfQ.c2ln\", eyJ", "\"***\", eyJ"),
            ("opaque-token-1 was\r\n\tsent", "*** was sent"),
            ("a\u{7}b\u{1b}[31m", "a b [31m"),
        ] {
            assert_eq!(excerpt(text.as_bytes(), "opaque-token-1", 100), shown);
        }
        assert_eq!(excerpt("ä".repeat(10_000).as_bytes(), "", 10).chars().count(), 11);
        // A secret that only half fits into what is looked at does not show its first half.
        let secret = "s".repeat(300);
        assert!(!excerpt(format!("{}{secret}", "x ".repeat(19)).as_bytes(), &secret, 40).contains("ss"));
    }

    #[test]
    fn figures_are_readable() {
        for (seconds, shown) in [(0, "0 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
        for (count, shown) in [(12, "12 B"), (1_536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (1 << 53, "8192.0 TiB")] {
            assert_eq!(bytes(count), shown);
        }
    }
}
