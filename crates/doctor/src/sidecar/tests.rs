use super::*;
use crate::report::Status;

const NOW: UnixTime = UnixTime::from_millis(1_700_000_000_000);

fn pages(metrics: &str) -> Pages {
    let metrics = metrics.lines().map(|line| format!("remora_sidecar_{}\n", line.trim())).collect();
    Pages { ready: (200, String::new()), metrics, status: Value::Null }
}

#[track_caller]
fn check(pages: &Pages, status: Status, finding: &str, mend: &str) -> Step {
    check_after(pages, None, status, finding, mend)
}

#[track_caller]
fn check_after(pages: &Pages, last_refusal: Option<UnixTime>, status: Status, finding: &str, mend: &str) -> Step {
    let step = judge(pages, last_refusal, NOW);
    let told = step.mend.clone().unwrap_or_default();
    assert!(step.status == status && step.finding.contains(finding) && told.contains(mend), "{step:?}");
    step
}

#[test]
fn each_symptom_is_named() {
    check(
        &pages("uptime_seconds 500\nwrite_requests_total{outcome=\"published\"} 7"),
        Status::Ok,
        "refused nothing",
        "",
    );
    check(
        &pages("uptime_seconds 500\nwrite_requests_total{outcome=\"failed\"} 7"),
        Status::Ok,
        "7 requests failed",
        "",
    );
    check(&pages("uptime_seconds 500"), Status::Warning, "nothing was ever sent to it in 8 min 20 s", "remote_write");
    check(&pages("uptime_seconds 50"), Status::Ok, "refused nothing", "");
    for (metrics, finding, mend) in [
        ("queue_writable 0", "takes no requests", "`queue`"),
        (
            "delivery_blocked{reason=\"forbidden\"} 1\ndelivery_blocked_since_timestamp_seconds 1699999400",
            "held up for 10 min 0 s: the endpoint refuses the identity (403)",
            "`role`",
        ),
        ("delivery_blocked{reason=\"throttled\"} 1", "quota", "more rules"),
        ("queue_age_seconds 50000\nqueue_age_max_seconds 86400", "13 h 53 min old; at 1 d 0 h it expires", "AGE_MAX"),
        ("queue_bytes 900\nqueue_bytes_max 1000", "nearly full: 900 B of 1000 B", "BYTES_MAX"),
        (
            "delivery_answers_total{code=\"429\"} 3\nwrite_answers_total{code=\"429\"} 1",
            "4 requests with 429",
            "more rules",
        ),
    ] {
        check(&pages(metrics), Status::Warning, finding, mend);
    }
}

#[test]
fn what_was_lost_is_a_warning_while_it_is_recent() {
    let rejected = "rejected_samples_total{kind=\"float\",reason=\"invalid\"} 5\n\
                    rejected_samples_total{kind=\"histogram\",reason=\"invalid\"} 1\nwrite_requests_total 7";
    let expired = "expired_samples_total{kind=\"float\",reason=\"age\"} 5\nwrite_requests_total 7";
    let ago = |minutes: u64| Some(NOW.minus(Duration::from_secs(minutes * 60)));
    let long_ago = ("uptime_seconds 90000", "uptime_seconds 3000");
    for (account, beside, last_refusal, is_recent) in [
        (rejected, long_ago.0, ago(59), true),
        (rejected, long_ago.0, ago(61), false),
        // A restart changes nothing about it.
        (rejected, long_ago.1, ago(61), false),
        (rejected, long_ago.1, ago(59), true),
        // Without a ring to read: since the start or before.
        (rejected, long_ago.0, None, false),
        (rejected, "delivery_verdicts_total{verdict=\"quarantine\"} 2", None, true),
        (rejected, "delivery_verdicts_total{verdict=\"delivered\"} 2", None, false),
        // The queue's own files were damaged, as this start found.
        (rejected, "uptime_seconds 3000\nqueue_set_aside_files_total 1", ago(61), true),
        (rejected, "uptime_seconds 90000\nqueue_set_aside_files_total 1", ago(61), false),
        (expired, long_ago.0, None, false),
        (expired, "uptime_seconds 3000\ndelivery_verdicts_total{verdict=\"expired\"} 1", None, true),
        (expired, "uptime_seconds 90000\ndelivery_verdicts_total{verdict=\"expired\"} 1", None, false),
        (expired, "queue_bytes 10\nqueue_bytes_max 1000\nqueue_age_seconds 1\nqueue_age_max_seconds 100", None, false),
    ] {
        let told = if account == rejected {
            "6 samples were rejected since the queue was made (invalid)"
        } else {
            "5 samples were expired since the queue was made (age)"
        };
        let pages = pages(&format!("{account}\n{beside}"));
        if is_recent {
            check_after(&pages, last_refusal, Status::Warning, told, "ledger");
        } else {
            let step = check_after(&pages, last_refusal, Status::Ok, "runs and is ready", "");
            assert!(step.details.contains(&("earlier", told.to_owned())), "{step:?}");
        }
    }
    // What expires now is named beside the bound that it comes to.
    for bound in ["queue_bytes 990\nqueue_bytes_max 1000", "queue_age_seconds 99\nqueue_age_max_seconds 100"] {
        let step =
            check(&pages(&format!("{expired}\nuptime_seconds 90000\n{bound}")), Status::Warning, "", "REMORA_QUEUE");
        let is_named =
            step.details.iter().any(|(name, text)| *name == "also" && text.contains("5 samples were expired"));
        assert!(is_named, "{step:?}");
    }
}

#[test]
fn one_that_is_not_ready_says_why() {
    let ready = (
        503,
        r#"{"code":"AuthenticationTokenNotFound","message":"there is no unexpired token (refused, status 401)"}"#
            .to_owned(),
    );
    check(&Pages { ready, ..pages("") }, Status::Warning, "not ready (503): there is no unexpired token", "`token`");
}

#[test]
fn the_most_serious_comes_first_and_nothing_is_left_out() {
    let mut pages = pages("queue_writable 0\nqueue_bytes 900\nqueue_bytes_max 1000");
    pages.status =
        serde_json::json!({"last_failure": {"at": "2026-01-01T00:00:00Z", "status": 503, "reason": "unreachable"}});
    let step = check(&pages, Status::Warning, "takes no requests", "");
    assert!(step.details.iter().any(|(name, text)| *name == "also" && text.contains("nearly full")), "{step:?}");
    assert!(step.details.contains(&("last_failure", "2026-01-01T00:00:00Z 503 unreachable".to_owned())), "{step:?}");
}

#[test]
fn what_listens_everywhere_is_asked_over_loopback() {
    for (bound, asked) in [("[::]:8081", "127.0.0.1:8081"), ("0.0.0.0:1", "127.0.0.1:1"), ("[::1]:2", "[::1]:2")] {
        assert_eq!(probed(bound.parse().unwrap()), asked.parse().unwrap());
    }
}
