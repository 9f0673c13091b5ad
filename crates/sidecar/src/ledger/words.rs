//! The words of the account, and numbers as people read them.

use serde_json::{Value, json};
use spool::{Counts, Refusal};

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn counts_json(counts: Counts) -> Value {
    json!({ "float": counts.samples, "histogram": counts.histograms, "exemplar": counts.exemplars })
}

/// `3 floats, 1 exemplar`.
pub(super) fn counts_text(counts: Counts) -> String {
    let parts = [(counts.samples, "float"), (counts.histograms, "histogram"), (counts.exemplars, "exemplar")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}{}", grouped(count), if count == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// Text of others for a terminal: on one line, nothing that controls it.
pub(super) fn harmless(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn refusal_json(refusal: &Refusal) -> Value {
    json!({
        "at": host::logging::Rfc3339(refusal.at).to_string(),
        "entry": refusal.entry.0,
        "reason": refusal.reason.name(),
        "status": refusal.status,
        "answer": refusal.answer,
        "series": refusal.series,
        "samples": counts_json(refusal.tally),
        "body_bytes": refusal.body.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn counts_are_told_by_kind() {
        let counts = |samples, histograms, exemplars| Counts { samples, histograms, exemplars };
        assert_eq!(counts_text(counts(0, 0, 0)), "nothing");
        assert_eq!(counts_text(counts(1, 0, 2000)), "1 float, 2,000 exemplars");
        assert_eq!(counts_text(counts(0, 2, 0)), "2 histograms");
    }

    #[test]
    fn what_others_wrote_controls_no_terminal() {
        assert_eq!(harmless(" a\u{1b}[31mb\r\nc\t\u{9b}d \n"), "a [31mb  c  d");
    }
}
