//! The pages of a proxy with a queue: the account is balanced at every moment, nothing is missing, nothing is told that
//! is not for everyone.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::kept::{Kept, eventually, write_series};
use crate::support::{Issuer, Setup, Step, Upstream, get};

fn answer(status: &str, body: &str) -> Step {
    Step::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

#[tokio::test]
async fn the_account_is_balanced_whenever_it_is_looked_at() {
    // Answers of all kinds, so that requests are repeated, taken apart and given up.
    let script = (0..200).map(|number| match number % 10 {
        0 => answer("503 Busy", ""),
        1 => answer("400 Bad Request", "invalid sample"),
        2 => Step::Close,
        3 => answer("500 Oops", ""),
        4 => answer("413 Too Large", "too large"),
        _ => answer("200 OK", ""),
    });
    let upstream = Upstream::start(script).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let scraping = async {
        for _ in 0..100 {
            keeping.metrics().await.assert_balanced();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let sending = async {
        for number in 0..60 {
            assert_eq!(keeping.ask(write_series(number * 20, 20)).await.status, 204);
        }
    };
    tokio::join!(scraping, sending);
    keeping.settled().await;
    let metrics = keeping.metrics().await;
    metrics.assert_balanced();
    assert_eq!(metrics.value("received_samples_total{kind=\"float\"}"), 1200.0);
    assert!(metrics.value("delivered_samples_total{kind=\"float\"}") > 0.0);
    assert_eq!(metrics.value("queue_requests"), 0.0);
    assert_eq!(metrics.value("queue_age_seconds"), 0.0);
    assert!(metrics.value("delivery_answers_total{code=\"503\"}") >= 1.0);
    assert!(metrics.value("delivery_verdicts_total{verdict=\"retry\"}") >= 1.0);
    assert!(metrics.value("delivery_duration_seconds_count") >= 1.0);
    keeping.stop().await;
}

/// Families of a scrape, by `# TYPE`.
fn families(text: &str) -> BTreeSet<(String, String, String)> {
    let lines: Vec<_> = text.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| {
            let (name, kind) = pair[0].strip_prefix("# TYPE ")?.split_once(' ')?;
            let help = pair[1].strip_prefix("# HELP ")?.strip_prefix(name)?.trim_start();
            Some((name.to_owned(), kind.to_owned(), help.to_owned()))
        })
        .collect()
}

#[tokio::test]
async fn the_table_of_metrics_is_what_the_pages_show() {
    let table: BTreeSet<_> = proxy::METRICS
        .iter()
        .map(|(name, kind, help)| ((*name).to_owned(), (*kind).to_owned(), (*help).to_owned()))
        .collect();
    assert_eq!(table.len(), proxy::METRICS.len(), "each once");
    // One that delivers, one that learned a limit and is then blocked: together they show every family.
    let taking = Upstream::start([]).await;
    let kept = Kept::new();
    let delivering = kept.start(&taking).await;
    assert_eq!(delivering.ask(write_series(0, 10)).await.status, 204);
    eventually("delivery", async || delivering.spool.ledger().delivered.samples == 10).await;
    let mut shown = families(&delivering.metrics().await.0);

    let small =
        Upstream::start([answer("413 Too Large", "")].into_iter().chain(std::iter::repeat_n(Step::Close, 10_000)))
            .await;
    let kept = Kept::new();
    let blocked = kept.start(&small).await;
    assert_eq!(blocked.ask(write_series(0, 1000)).await.status, 204);
    let family = |name: &str| format!("remora_sidecar_{name}");
    eventually("blocked, with a limit", async || {
        let text = blocked.metrics().await.0;
        shown.extend(families(&text));
        text.contains(&family("delivery_blocked{")) && text.contains(&family("delivery_body_bytes_limit "))
    })
    .await;
    assert_eq!(shown, table);

    // Without a queue there is nothing of it.
    let passing = Setup::default().start(taking.address).await;
    let text = get(passing.address, "/metrics").await.body;
    assert!(families(&text).is_subset(&table));
    assert!(!text.contains("queue") && !text.contains("_samples") && text.contains("process_open_fds "), "{text}");
}

#[tokio::test]
async fn status_tells_of_the_queue_and_no_text_of_others() {
    let text = "no role on dcr-0123 for 66666666-7777-8888-9999-000000000000 m{n=\\\"1\\\"}";
    let upstream = Upstream::start(std::iter::repeat_n(answer("403 Forbidden", text), 10_000)).await;
    let kept = Kept { issuer: Issuer::Repeats, ..Kept::new() };
    let keeping = kept.start(&upstream).await;
    assert_eq!(keeping.ask(write_series(0, 10)).await.status, 204);
    eventually("blocked", async || !keeping.status().await["delivery"]["blocked"].is_null()).await;
    let status = keeping.status().await;
    assert_eq!(status["queue"]["medium"], "disk");
    assert_eq!(status["queue"]["survives_crash"], true);
    assert_eq!(status["queue"]["when_full"], "push-back");
    assert_eq!(status["queue"]["sync"], "interval");
    assert_eq!(status["queue"]["requests"], 1);
    assert_eq!(status["ledger"]["received"]["floats"], 10);
    assert_eq!(status["ledger"]["queued"]["floats"], 10);
    assert_eq!(status["delivery"]["blocked"]["reason"], "forbidden");
    assert_eq!(status["delivery"]["blocked"]["status"], 403);
    for path in ["/status", "/metrics", "/ready"] {
        let page = get(keeping.proxy.address, path).await.body;
        for told in ["no role", "dcr-", "66666666", "token-1", "n=\\\"1"] {
            assert!(!page.contains(told), "{path} tells {told:?}: {page}");
        }
    }
    // Held, not given up: trouble with the target is no trouble of the sidecar.
    assert_eq!(get(keeping.proxy.address, "/ready").await.status, 200);
    assert_eq!(get(keeping.proxy.address, "/health").await.status, 200);
}

#[tokio::test]
async fn reloads_are_counted() {
    let upstream = Upstream::start([]).await;
    let kept = Kept::new();
    let keeping = kept.start(&upstream).await;
    let metrics = keeping.metrics().await;
    assert_eq!(metrics.value("config_last_reload_successful"), 1.0);
    keeping.proxy.handle.count_reload(true);
    keeping.proxy.handle.count_reload(false);
    let metrics = keeping.metrics().await;
    assert_eq!(metrics.value("config_reloads_total{outcome=\"success\"}"), 1.0);
    assert_eq!(metrics.value("config_reloads_total{outcome=\"failure\"}"), 1.0);
    assert_eq!(metrics.value("config_last_reload_successful"), 0.0);
    keeping.proxy.handle.count_reload(true);
    assert_eq!(keeping.metrics().await.value("config_last_reload_successful"), 1.0);
    keeping.stop().await;
}
