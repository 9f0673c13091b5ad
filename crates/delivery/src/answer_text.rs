//! What the text of a refusal tells: which series, why, and how much of the request is stored nevertheless.
//!
//! Targets word their refusals as they like, so everything here is a hint, but for one form: `refused 3 of 20 samples;
//! everything else is stored. …`, with which a service says of a 1.0 request what written-headers say of a 2.0 one. It is
//! believed only where its numbers are those of what was sent.

use spool::Counts;

use crate::Answer;
use crate::counts::less;

/// The words of an answer.
pub(crate) struct AnswerText(String);

/// The account that a service gives of a request of which it stored a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RefusalList<'t> {
    refused: Counts,
    /// Of how many, for the kinds that are mentioned.
    of: [Option<u64>; 3],
    /// One line for each of the first that were refused.
    lines: &'t str,
}

impl AnswerText {
    /// The message of a JSON error in Azure's or Prometheus' form, otherwise the body as it is; without tokens.
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = &answer.body[..answer.body.len().min(TEXT_BYTES_MAX)];
        let message = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|json| {
            let message = json.pointer("/error/message").or_else(|| json.get("message")).or_else(|| json.get("error"));
            message.and_then(|message| message.as_str()).map(str::to_owned)
        });
        Self(without_tokens(&message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The size that it says a body may have, when it was given to one of `refused` bytes: the smallest number of bytes that
    /// it mentions, if it is of that order.
    pub(crate) fn body_bytes_max(&self, refused: u64) -> Option<u64> {
        let ends = self.0.match_indices("byte").map(|(at, _)| self.0[..at].trim_end());
        let numbers = ends.filter_map(|text| {
            let number = text
                .rfind(|char: char| !char.is_ascii_digit() && char != ',')
                .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
            text[number..].replace(',', "").parse().ok()
        });
        numbers.filter(|number| (refused / NAMED_SHARE_MIN..refused).contains(number)).min()
    }

    /// Whether it says of something that the target has it, or something newer, already.
    pub(crate) fn speaks_of_repetition(&self) -> bool {
        speaks_of_repetition(&self.0)
    }

    /// Whether every line of its list says so, and none is missing; without a list, the whole of it. What a list leaves out
    /// with `and 5 more` may be refused for anything.
    pub(crate) fn speaks_of_nothing_else(&self) -> bool {
        match self.list() {
            Some(list) => list.lines.split("; ").all(speaks_of_repetition),
            None => self.speaks_of_repetition(),
        }
    }

    /// What it says of the parts of the request, if it is in the form known.
    pub(crate) fn list(&self) -> Option<RefusalList<'_>> {
        let (_, list) = self.0.split_once("refused ")?;
        let (numbers, lines) = list.split_once("; everything else is stored.")?;
        let mut counts = [0; 3];
        let mut of = [None; 3];
        for number in numbers.split(", ") {
            let mut words = number.split(' ');
            let refused: u64 = words.next()?.parse().ok()?;
            match (words.next()?, words.next()?, words.next()) {
                ("of", all, Some(kind)) => {
                    let kind = KINDS.iter().position(|known| *known == kind)?;
                    counts[kind] = refused;
                    of[kind] = Some(all.parse().ok()?);
                }
                // "2 entries without data": nothing that is counted.
                ("entries", ..) => {}
                _ => return None,
            }
        }
        let [samples, histograms, exemplars] = counts;
        Some(RefusalList { refused: Counts { samples, histograms, exemplars }, of, lines: lines.trim_start() })
    }

    /// The text in the form in which [`names`] looks for series; made once for many.
    pub(crate) fn to_searched(&self) -> String {
        self.0.replace(", ", ",")
    }
}

impl From<&str> for AnswerText {
    /// A text that was taken from an answer before.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl RefusalList<'_> {
    /// What is stored of a request that held `sent`; `None` when this speaks of another one.
    pub(crate) fn stored_of(&self, sent: Counts) -> Option<Counts> {
        let all = [sent.samples, sent.histograms, sent.exemplars];
        let refused = [self.refused.samples, self.refused.histograms, self.refused.exemplars];
        let fits = (0..3).all(|kind| self.of[kind].is_none_or(|of| of == all[kind]) && refused[kind] <= all[kind]);
        fits.then(|| less(sent, self.refused))
    }

    /// The series that it gives by their numbers in the request, from 0, as it does with those whose labels cannot be written.
    pub(crate) fn series_numbers(&self) -> impl Iterator<Item = usize> {
        self.lines().filter_map(|line| line.strip_prefix("series ")?.split_once(": ")?.0.parse().ok())
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.split("; ").filter(|line| !line.is_empty() && !is_ending(line))
    }
}

/// Whether a text made by [`AnswerText::to_searched`] names the series written as `name{a="b", c="d"}`, in this form or as
/// `{__name__="name", a="b", c="d"}`, with or without spaces.
pub(crate) fn names(searched: &str, series: &str) -> bool {
    let series = series.replace(", ", ",");
    match series.split_once('{') {
        Some((name, rest)) => {
            searched.contains(&series)
                || (!name.is_empty() && searched.contains(&format!("{{__name__=\"{name}\",{rest}")))
        }
        // A bare name is a word like any other: only where nothing else can be meant.
        None => {
            searched.contains(&format!("{{__name__=\"{series}\"}}"))
                || searched.contains(&format!("{series}{{}}"))
                || searched
                    .match_indices(&format!("{series}: "))
                    .any(|(at, _)| at == 0 || searched[..at].ends_with(' '))
        }
    }
}

/// As much of a text as a log line or a page shows, on one line.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String =
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(SHORT_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn speaks_of_repetition(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    REPETITION.iter().any(|words| text.contains(words))
}

fn is_ending(line: &str) -> bool {
    line.starts_with("and ") && line.ends_with(" more")
}

/// A target that repeats the token it refuses must not get it written to disk or log.
fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let token = rest[at..].find(|char: char| !is_token_char(char)).unwrap_or(rest.len() - at);
        out.push_str(&rest[..at]);
        out.push_str(if token > 20 { "***" } else { &rest[at..at + token] });
        rest = &rest[at + token..];
    }
    out + rest
}

fn is_token_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.')
}

const KINDS: [&str; 3] = ["samples", "histograms", "exemplars"];

/// How Prometheus and its relatives say it. A duplicate *label* is another thing.
const REPETITION: [&str; 9] = [
    "out of order",
    "out-of-order",
    "duplicate sample",
    "duplicate histogram",
    "duplicate exemplar",
    "duplicate timestamp",
    "duplicate-timestamp",
    "duplicate data",
    "already exists for timestamp",
];

/// A body may be so many times as large as is allowed; whatever is smaller is not taken for a bound on bodies.
const NAMED_SHARE_MIN: u64 = 64;
/// How much of an answer is looked at and kept.
const TEXT_BYTES_MAX: usize = 64 << 10;
const SHORT_CHARS: usize = 300;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn text(body: &str) -> AnswerText {
        AnswerText::of(&Answer { status: 400, body: Bytes::from(body.to_owned()), ..Answer::default() })
    }

    #[test]
    fn the_message_is_taken_out_of_json() {
        for (body, expected) in [
            (r#"{"error":{"code":"X","message":"a \"b\""}}"#, "a \"b\""),
            (r#"{"status":"error","error":"bad"}"#, "bad"),
            (r#"{"message":"bad"}"#, "bad"),
            ("bad {", "bad {"),
            ("token eyJ0eXAiOiJKV1QiLCJhbGciOi.eyJhdWQiOi.sig refused, eyJx", "token *** refused, eyJx"),
        ] {
            assert_eq!(text(body).as_str(), expected, "{body}");
        }
    }

    #[test]
    fn the_account_of_a_service_is_believed_where_it_fits() {
        let sent = Counts { samples: 20, histograms: 2, exemplars: 1 };
        let stored = |samples, histograms, exemplars| Some(Counts { samples, histograms, exemplars });
        for (body, expected) in [
            ("refused 3 of 20 samples; everything else is stored. up: too old", stored(17, 2, 1)),
            ("refused 3 of 20 samples, 2 of 2 histograms; everything else is stored. x", stored(17, 0, 1)),
            ("refused 1 of 1 exemplars, 2 entries without data; everything else is stored. x", stored(20, 2, 0)),
            ("refused 2 entries without data; everything else is stored. x", stored(20, 2, 1)),
            ("refused 3 of 21 samples; everything else is stored. x", None),
            ("refused 3 of 20 apples; everything else is stored. x", None),
            ("refused 3 of 20 samples. up: too old", None),
            ("refused", None),
        ] {
            assert_eq!(text(body).list().and_then(|list| list.stored_of(sent)), expected, "{body}");
        }
    }

    #[test]
    fn the_size_of_bodies_may_be_named() {
        let azure = "Maximum allowed content length: 1048576 bytes (1 MB). Provided content length: 1200000 bytes.";
        for (body, refused, expected) in [
            (azure, 1_200_000, Some(1_048_576)),
            (azure, 1_000_000, None),
            (azure, 100_000_000, None),
            ("limit 1,048,576bytes", 1_200_000, Some(1_048_576)),
            ("ä1048576 bytes", 1_200_000, Some(1_048_576)),
            ("524288 bytes", 1_200_000, Some(524_288)),
            ("byte", 1_200_000, None),
            ("99999999999999999999999 bytes", 1_200_000, None),
            ("too large", 1_200_000, None),
        ] {
            assert_eq!(text(body).body_bytes_max(refused), expected, "{body}, {refused}");
        }
    }

    #[test]
    fn series_are_given_by_number() {
        let body = "refused 4 of 9 samples; everything else is stored. series 8: series {i=\"x\"} has no metric name; \
                    up{a=\"b\"}: series 3: old; series x: odd; series 18446744073709551616: odd; series 0: no; and 2 more";
        assert_eq!(text(body).list().unwrap().series_numbers().collect::<Vec<_>>(), [8, 0]);
    }

    #[test]
    fn repetition_is_told_from_other_reasons() {
        for (body, some, only) in [
            ("out of order sample", true, true),
            ("the request has been rejected: err-mimir-sample-out-of-order", true, true),
            ("duplicate label name", false, false),
            ("label name \"a\" appears twice", false, false),
            (
                "refused 2 of 3 samples; everything else is stored. a: out of order sample at 1; b: duplicate sample for \
                 timestamp 1",
                true,
                true,
            ),
            ("refused 7 of 9 samples; everything else is stored. a: out of order sample at 1; and 6 more", true, false),
            ("refused 7 of 9 samples; everything else is stored.", false, false),
            (
                "refused 2 of 3 samples; everything else is stored. a: out of order sample; b: too many labels",
                true,
                false,
            ),
        ] {
            assert_eq!(
                (text(body).speaks_of_repetition(), text(body).speaks_of_nothing_else()),
                (some, only),
                "{body}"
            );
        }
    }

    #[test]
    fn series_are_found_in_the_forms_that_receivers_write() {
        let series = r#"up{a="x, y", job="p"}"#;
        for (body, expected) in [
            (r#"refused: up{a="x, y", job="p"}: too old"#, true),
            (r#"series={__name__="up", a="x, y", job="p"} too old"#, true),
            (r#"up{a="x, y",job="p"}"#, true),
            (r#"up{a="x, y", job="q"}"#, false),
            ("up", false),
        ] {
            assert_eq!(names(&text(body).to_searched(), series), expected, "{body}");
        }
        for (body, expected) in [
            ("up: too old", true),
            ("x; up: too old", true),
            ("backup: too old", false),
            (r#"{__name__="up"} x"#, true),
        ] {
            assert_eq!(names(&text(body).to_searched(), "up"), expected, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_is_looked_through(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let answer = Answer { status: 400, body: body.into(), ..Answer::default() };
            looked_through(&AnswerText::of(&answer));
        }

        #[test]
        fn words_in_any_order_are_looked_through(
            words in proptest::collection::vec(proptest::sample::select(WORDS), 0..20),
        ) {
            looked_through(&text(&words.concat()));
        }
    }

    const WORDS: &[&str] = &[
        "refused ",
        "3",
        " of ",
        "20",
        " samples",
        ", ",
        "; everything else is stored.",
        "; ",
        "and 5 more",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6",
        "ä",
        "up{a=\"b\"}",
        ": ",
        "out of order",
        "\"",
        "{",
        "99999999999999999999999",
        "exemplars",
        "entries",
    ];

    fn looked_through(text: &AnswerText) {
        let sent = Counts { samples: 20, histograms: 1, exemplars: 0 };
        if let Some(stored) = text.list().and_then(|list| list.stored_of(sent)) {
            assert!(stored.min(sent) == stored);
        }
        text.speaks_of_nothing_else();
        text.body_bytes_max(1000);
        text.list().map(|list| list.series_numbers().count());
        names(&text.to_searched(), "up{a=\"b\"}");
        assert!(!text.as_str().contains("eyJhbGciOiJSUzI1NiIsImtpZCI6"));
        shortened(text.as_str());
    }

    #[test]
    fn log_texts_are_short_and_on_one_line() {
        let short = shortened(&"a\n".repeat(1000));
        assert!(short.chars().count() == SHORT_CHARS + 1 && !short.contains('\n'));
        assert_eq!(shortened("ok"), "ok");
    }
}
