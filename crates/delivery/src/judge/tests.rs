//! The cases of the judge: each is a test, and all of them are the table of `docs/judging.md`.

use bytes::Bytes;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SENT: Counts = Counts { samples: 1900, histograms: 0, exemplars: 0 };

/// What came back.
struct Came(&'static str, Result<Answer, SendError>);

/// A row of the table: an answer, what else is known, and how the verdict must read.
struct Row {
    came: Came,
    when: &'static str,
    attempt: Attempt,
    age: Duration,
    verdict: &'static str,
}

/// A first attempt at an ordinary request.
fn first() -> Attempt {
    Attempt {
        number: 1,
        version: Version::V1,
        tally: SENT,
        divisible: true,
        bytes: 20_000,
        sent_before: false,
        part_of_failing: false,
        server_errors: 0,
        amid_deliveries: 0,
        amid_deliveries_now: false,
        others_failing: 0.0,
        holds_known_poison: false,
        delivered_meanwhile: false,
        target_failures: 1,
        refusals: 1,
        refused_for: MINUTE,
        token_fresh: false,
        chance: 0.0,
    }
}

fn status(status: u16) -> Came {
    let text = match status {
        200 => "2xx",
        400 => "400, 409, 422",
        404 => "404, 405, 410, 3xx, other 4xx",
        425 => "425, 501, 502, 504, other 5xx",
        100 => "1xx, 6xx and what is no status",
        other => Box::leak(other.to_string().into_boxed_str()),
    };
    Came(text, Ok(Answer { status, ..Answer::default() }))
}

fn with_text(code: u16, name: &'static str, body: &'static str) -> Came {
    Came(name, Ok(Answer { status: code, body: Bytes::from_static(body.as_bytes()), ..Answer::default() }))
}

fn with_written(code: u16, name: &'static str, samples: u64) -> Came {
    let written = Some(Counts { samples, ..Counts::default() });
    Came(name, Ok(Answer { status: code, written, ..Answer::default() }))
}

fn with_retry_after(code: u16, name: &'static str, seconds: u64) -> Came {
    Came(name, Ok(Answer { status: code, retry_after: Some(Duration::from_secs(seconds)), ..Answer::default() }))
}

fn none(kind: &'static str) -> Came {
    let message = "connection refused".to_owned();
    Came("no answer", Err(SendError { message, kind, may_have_arrived: false, sent_twice: false }))
}

fn row(came: Came, when: &'static str, attempt: Attempt, verdict: &'static str) -> Row {
    Row { came, when, attempt, age: MINUTE, verdict }
}

fn rows() -> Vec<Row> {
    let v2 = || Attempt { version: Version::V2, ..first() };
    let single = || Attempt { divisible: false, tally: Counts { samples: 1, ..Counts::default() }, ..first() };
    let failing = |server_errors| Attempt { number: server_errors, server_errors, target_failures: 1, ..first() };
    let poison = |server_errors: u32| Attempt {
        amid_deliveries: server_errors - 1,
        amid_deliveries_now: server_errors > 1,
        delivered_meanwhile: true,
        ..failing(server_errors)
    };
    let listed = "refused 3 of 1900 samples; everything else is stored. up{job=\"a\"}: too many labels; and 2 more";
    let listed_old = "refused 3 of 1900 samples; everything else is stored. a: out of order sample at 1; b: out of \
                      order sample at 1; c: duplicate sample for timestamp 1";
    let listed_in_part =
        "refused 3 of 1900 samples; everything else is stored. a: out of order sample at 1; and 2 more";
    let long_refused = Attempt { refused_for: HOUR, ..first() };
    let mut rows = vec![
        row(status(200), "", first(), "`delivered`"),
        row(with_written(200, "2xx, written-headers", 1900), "as many as were sent", v2(), "`delivered`"),
        row(
            with_written(200, "2xx, written-headers", 1890),
            "fewer than were sent",
            v2(),
            "`delivered`, the missing are `rejected{not_written}`",
        ),
        row(
            status(200),
            "to version 2.0, without written-headers: a receiver of 1.0 reads such a request as empty",
            v2(),
            "`transcode`: at once, as 1.0; remembered",
        ),
        row(status(400), "several series", first(), "`bisect`"),
        row(status(400), "one series", single(), "`quarantine`: `rejected{invalid}`"),
        row(with_written(400, "400, written-headers", 0), "nothing written, several series", v2(), "`bisect`"),
        row(
            with_written(400, "400, written-headers", 1897),
            "a part is written",
            v2(),
            "`quarantine`: what is not written is `rejected{invalid}`, nothing is sent again",
        ),
        row(
            with_text(400, "400, *refused 3 of 1900 samples; everything else is stored*", listed),
            "the numbers are those of the request",
            first(),
            "`quarantine`: what is not written is `rejected{invalid}`, nothing is sent again",
        ),
        row(
            with_text(400, "the same, all of the reasons *out of order* or *duplicate*", listed_old),
            "the samples were sent before",
            Attempt { sent_before: true, ..first() },
            "`delivered`, 3 of it unconfirmed",
        ),
        row(
            with_text(400, "the same, but not all of the reasons are told", listed_in_part),
            "the samples were sent before",
            Attempt { sent_before: true, ..first() },
            "`quarantine`: what is not written is `rejected{invalid}`, nothing is sent again",
        ),
        row(
            with_text(400, "400, *out of order* or *duplicate sample*", "out of order sample"),
            "one series whose samples were sent before",
            Attempt { sent_before: true, ..single() },
            "`delivered`, 1 of it unconfirmed",
        ),
        row(
            with_text(400, "400, *out of order* or *duplicate sample*", "out of order sample"),
            "one series whose samples were not sent before",
            single(),
            "`quarantine`: `rejected{invalid}`",
        ),
        row(status(401), "", first(), "`refresh_token`: at once, one request, with a new token"),
        row(
            status(401),
            "with a new token",
            Attempt { token_fresh: true, ..first() },
            "`hold`: one request tries after 2.5–5 s",
        ),
        row(status(403), "", first(), "`hold`: one request tries after 2.5–5 s"),
        row(
            status(403),
            "refused five times in a row",
            Attempt { refusals: 5, ..first() },
            "`hold`: one request tries after 30–60 s",
        ),
        row(
            status(403),
            "after an hour of failures of another kind",
            Attempt { target_failures: 200, ..first() },
            "`hold`: one request tries after 2.5–5 s",
        ),
        row(status(404), "", first(), "`hold`: one request tries after 2.5–5 s"),
        row(status(408), "", first(), "`retry` after 125–250 ms: everything waits"),
        row(status(413), "several series", first(), "`split`: at once, in halves; the size is remembered"),
        row(
            status(413),
            "several series, at most 4 KiB: it is not about the size",
            Attempt { bytes: 4096, ..first() },
            "`bisect`",
        ),
        row(status(413), "one series", single(), "`quarantine`: `rejected{too_large}`"),
        row(status(415), "to version 2.0", v2(), "`transcode`: at once, as 1.0; remembered"),
        row(status(415), "to version 1.0", first(), "`hold`: one request tries after 2.5–5 s"),
        row(status(429), "", first(), "`retry` after 125–250 ms: everything waits"),
        row(
            with_retry_after(429, "429 or 503, `Retry-After: 7`", 7),
            "",
            first(),
            "`retry` after 7–7.5 s: everything waits",
        ),
        row(
            with_retry_after(503, "429 or 503, `Retry-After: 86400`", 86_400),
            "",
            first(),
            "`retry` after 600–600.5 s: everything waits",
        ),
        row(status(503), "", first(), "`retry` after 125–250 ms: everything waits"),
        row(
            status(503),
            "failing for long",
            Attempt { target_failures: 20, ..first() },
            "`retry` after 15–30 s: everything waits",
        ),
        row(status(500), "", failing(1), "`retry` after 125–250 ms: everything waits"),
        row(
            status(500),
            "others were delivered meanwhile",
            poison(1),
            "`retry` after 125–250 ms: this entry waits, others go on",
        ),
        row(status(500), "the third time while others are delivered", poison(3), "`bisect`"),
        row(
            status(500),
            "part of such a request, while others are delivered",
            Attempt { part_of_failing: true, ..poison(2) },
            "`bisect`",
        ),
        row(status(500), "the eighth time, nothing else can be delivered", failing(8), "`bisect`"),
        row(
            status(500),
            "with a series that was given up for this before",
            Attempt { holds_known_poison: true, ..failing(1) },
            "`bisect`",
        ),
        row(
            status(500),
            "one series, the sixth time while others are delivered and none is answered 500",
            Attempt { divisible: false, others_failing: 0.05, ..poison(6) },
            "`quarantine`: `rejected{invalid}`",
        ),
        row(
            status(500),
            "one series, the sixth time, of others every second one is answered 500",
            Attempt { divisible: false, others_failing: 0.5, ..poison(6) },
            "`retry` after 4–8 s: this entry waits, others go on",
        ),
        row(
            status(500),
            "one series, the 21st time, of others every second one is answered 500",
            Attempt { divisible: false, others_failing: 0.5, ..poison(21) },
            "`quarantine`: `rejected{invalid}`",
        ),
        row(
            status(500),
            "one series that was given up for this before, while others are delivered",
            Attempt { divisible: false, holds_known_poison: true, ..poison(2) },
            "`quarantine`: `rejected{invalid}`",
        ),
        row(
            status(500),
            "one series, nothing else is delivered",
            Attempt { divisible: false, others_failing: 0.5, ..failing(500) },
            "`retry` after 125–250 ms: everything waits",
        ),
        row(status(425), "", first(), "`retry` after 125–250 ms: everything waits"),
        row(status(100), "", first(), "`retry` after 125–250 ms: everything waits"),
        row(none("unreachable"), "", first(), "`retry` after 125–250 ms: everything waits"),
        row(
            none("unreachable"),
            "others were delivered meanwhile",
            Attempt { delivered_meanwhile: true, number: 3, ..first() },
            "`retry` after 500–1000 ms: this entry waits, others go on",
        ),
    ];
    for (code, reason, attempt) in [
        (401, "`quarantine`: `rejected{unauthorized}`", Attempt { token_fresh: true, ..long_refused.clone() }),
        (403, "`quarantine`: `rejected{forbidden}`", long_refused.clone()),
        (404, "`quarantine`: `rejected{not_found}`", long_refused.clone()),
        (415, "`quarantine`: `rejected{unsupported}`", long_refused),
    ] {
        let when = match code {
            401 => "with a new token; entry older than 45 min, and everything refused for 45 min",
            415 => "to version 1.0; entry older than 45 min, and everything refused for 45 min",
            _ => "entry older than 45 min, and everything refused for 45 min",
        };
        rows.push(Row { age: HOUR, ..row(status(code), when, attempt, reason) });
    }
    let old = "entry older than 45 min, but refusals have lasted for less";
    rows.push(Row { age: HOUR, ..row(status(403), old, first(), "`hold`: one request tries after 2.5–5 s") });
    for came in [status(403), status(429), status(500), status(503), none("timeout")] {
        rows.push(Row { age: 25 * HOUR, ..row(came, "entry older than 24 h", first(), "`expired`") });
    }
    rows.push(Row { age: 25 * HOUR, ..row(status(200), "entry older than 24 h", first(), "`delivered`") });
    rows
}

fn judged(row: &Row, chance: f64) -> Verdict {
    judge(&row.came.1, &Attempt { chance, ..row.attempt.clone() }, row.age, &Policy::default())
}

/// The verdict as the table has it.
fn shown(row: &Row) -> String {
    let verdict = judged(row, 0.0);
    let span = |shortest: Duration, longest: Duration| match longest < 2 * Duration::from_millis(1000) {
        true => format!("{}–{} ms", shortest.as_millis(), longest.as_millis()),
        false => format!("{}–{} s", shortest.as_secs_f64(), longest.as_secs_f64()),
    };
    let rest = match (&verdict, judged(row, 1.0)) {
        (Verdict::Delivered { missing, unconfirmed }, _) => match (total(*missing), total(*unconfirmed)) {
            (0, 0) => String::new(),
            (0, unconfirmed) => format!(", {unconfirmed} of it unconfirmed"),
            _ => ", the missing are `rejected{not_written}`".to_owned(),
        },
        (Verdict::Retry { after, reach, .. }, Verdict::Retry { after: longest, .. }) => {
            let who = match reach {
                Reach::Entry => "this entry waits, others go on",
                Reach::Target => "everything waits",
            };
            format!(" after {}: {who}", span(*after, longest))
        }
        (Verdict::Hold { after, .. }, Verdict::Hold { after: longest, .. }) => {
            format!(": one request tries after {}", span(*after, longest))
        }
        (Verdict::Quarantine { reason, written }, _) => {
            let reason = match reason {
                Rejection::Invalid => "invalid",
                Rejection::Unauthorized => "unauthorized",
                Rejection::Forbidden => "forbidden",
                Rejection::NotFound => "not_found",
                Rejection::TooLarge => "too_large",
                Rejection::Unsupported => "unsupported",
                other => panic!("the judge gives no {other:?}"),
            };
            match is_none(*written) {
                true => format!(": `rejected{{{reason}}}`"),
                false => format!(": what is not written is `rejected{{{reason}}}`, nothing is sent again"),
            }
        }
        (Verdict::RefreshToken, _) => ": at once, one request, with a new token".to_owned(),
        (Verdict::Split, _) => ": at once, in halves; the size is remembered".to_owned(),
        (Verdict::Transcode, _) => ": at once, as 1.0; remembered".to_owned(),
        _ => String::new(),
    };
    format!("`{}`{rest}", verdict.name())
}

#[test]
fn every_case_has_its_verdict() {
    for row in rows() {
        assert_eq!(shown(&row), row.verdict, "{}, {}", row.came.0, row.when);
    }
}

#[test]
fn statuses_of_a_class_are_judged_alike() {
    let verdict = |code| judge(&status(code).1, &first(), MINUTE, &Policy::default());
    for (class, statuses) in [
        (200, vec![201, 202, 204, 299]),
        (400, vec![409, 422]),
        (404, vec![300, 301, 302, 307, 308, 402, 405, 406, 407, 410, 411, 412, 414, 416, 417, 431, 451, 499]),
        (425, vec![501, 502, 504, 505, 507, 511, 599]),
        (100, vec![0, 103, 600, 999]),
    ] {
        for code in statuses {
            assert_eq!(verdict(code), verdict(class), "{code}");
        }
    }
}

#[test]
fn the_document_has_this_table() {
    let mut table = String::from("| answer | when | verdict |\n|---|---|---|\n");
    for row in rows() {
        table.push_str(&format!("| {} | {} | {} |\n", row.came.0, row.when, shown(&row)));
    }
    let document = include_str!("../../../../docs/judging.md");
    assert!(document.contains(&table), "docs/judging.md has another table; replace it by:\n<<<\n{table}>>>");
}

#[test]
fn whoever_is_not_answered_may_have_stored() {
    let lost = |may_have_arrived| {
        Err(SendError { message: String::new(), kind: "timeout", may_have_arrived, sent_twice: false })
    };
    assert!(may_have_stored(&lost(true)) && !may_have_stored(&lost(false)));
    for (code, expected) in
        [(200, true), (400, true), (500, true), (503, true), (401, false), (413, false), (429, false)]
    {
        assert_eq!(may_have_stored(&status(code).1), expected, "{code}");
    }
}
