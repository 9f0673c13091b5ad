use super::*;
use crate::report::Status;

const NOW: UnixTime = UnixTime::from_millis(1_700_000_000_000);

fn pages(metrics: &str) -> Pages {
    let metrics = metrics.lines().map(|line| format!("remora_sidecar_{}\n", line.trim())).collect();
    Pages { ready: (200, String::new()), metrics, status: Value::Null }
}

#[track_caller]
fn check(pages: &Pages, status: Status, finding: &str, mend: &str) -> Step {
    let step = judge(pages, NOW);
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
        (
            "rejected_samples_total{kind=\"float\",reason=\"invalid\"} 5\nrejected_samples_total{kind=\"histogram\",reason=\"invalid\"} 1",
            "6 samples were rejected since the queue was made (invalid)",
            "ledger",
        ),
        ("expired_samples_total{kind=\"float\",reason=\"age\"} 5", "5 samples were expired", "ledger"),
    ] {
        check(&pages(metrics), Status::Warning, finding, mend);
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
