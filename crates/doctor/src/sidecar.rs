//! What the sidecar that runs here says of itself: whether samples come to it, wait in it, or were lost.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use environment::{HttpClient, UnixTime};
use host::{Connector, HostHttp};
use serde_json::Value;

use crate::answer::QUOTA_MEND;
use crate::exposition::Exposition;
use crate::plan::Listener;
use crate::report::{Link, Step};
use crate::text::{bytes, excerpt, span};
use crate::{tcp, tls};

#[cfg(test)]
mod tests;

/// What its pages say.
#[derive(Clone, Default, Debug)]
pub(crate) struct Pages {
    /// Status and body of `/ready`.
    ready: (u16, String),
    metrics: String,
    /// `/status`
    status: Value,
}

/// Asks the sidecar that listens at `listener`, if one does. `last_refusal` is what its queue's directory tells.
pub(crate) async fn look(listener: Listener, last_refusal: Option<UnixTime>, now: UnixTime) -> (Vec<Step>, Option<()>) {
    let address = probed(listener.address);
    if let Err(failure) = tcp::connect(address).await {
        let step = if failure == tcp::Failure::Refused {
            Step::skipped(
                Link::Sidecar,
                format!("no sidecar listens at {address}: it does not run here, or keeps restarting"),
            )
        } else {
            Step::warning(
                Link::Sidecar,
                format!("the sidecar at {address} {}", failure.words()),
                "look into the sidecar's log; restart it if it hangs",
            )
        };
        return (vec![step], None);
    }
    // Its certificate is for its clients; what it is asked here holds no secret.
    let http = HostHttp::with_connector(Connector::new(tls::accepting_any()));
    let scheme = if listener.tls { "https" } else { "http" };
    let page = async |path: &str| {
        let request = http::Request::get(format!("{scheme}://{address}{path}")).body(Bytes::new()).ok()?;
        let answer = http.send(request, PAGE_TIMEOUT).await.ok()?;
        Some((answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned()))
    };
    let (Some(ready), Some((200, metrics))) = (page("/ready").await, page("/metrics").await) else {
        let finding = format!("what listens at {address} has no pages of a sidecar");
        let step = Step::warning(Link::Sidecar, finding, "check LISTENING_PORT: another program may use the port");
        return (vec![step], None);
    };
    let status = page("/status").await.and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or(Value::Null);
    (vec![judge(&Pages { ready, metrics, status }, last_refusal, now)], Some(()))
}

/// What is bound to all addresses is asked over loopback.
fn probed(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // Bound to all IPv6 addresses means IPv4's too; where there is no IPv6, IPv4's alone.
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    debug_assert!(ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED), "an unspecified address cannot be connected to");
    SocketAddr::new(ip, address.port())
}

/// The most serious of what the pages tell, with all the rest as facts.
fn judge(pages: &Pages, last_refusal: Option<UnixTime>, now: UnixTime) -> Step {
    let read = Exposition::parse(&pages.metrics);
    let metric = |name: &str| read.sum(&format!("remora_sidecar_{name}"));
    let by = |name: &str, label: &str| read.by(&format!("remora_sidecar_{name}"), label);
    let mut troubles: Vec<(String, String)> = Vec::new();
    let mut trouble = |finding: String, mend: &str| troubles.push((finding, mend.to_owned()));

    if metric("queue_writable") == Some(0.0) {
        trouble(
            "its queue takes no requests: it answers 503 to every sender".to_owned(),
            "see the link `queue` (make room on the volume, or make it writable); a full queue wants delivery mended or more room",
        );
    }
    if let Some((reason, _)) = by("delivery_blocked", "reason").first() {
        let since = metric("delivery_blocked_since_timestamp_seconds").map(|at| UnixTime::from_secs(at as i64));
        let since = since.map(|at| format!(" for {}", span(now.since(at)))).unwrap_or_default();
        trouble(format!("delivery is held up{since}: {}", blocked_words(reason)), blocked_mend(reason));
    }
    if pages.ready.0 != 200 {
        let body: Value = serde_json::from_str(&pages.ready.1).unwrap_or(Value::Null);
        let message = body["message"].as_str().unwrap_or(&pages.ready.1);
        trouble(
            format!("it is not ready ({}): {}", pages.ready.0, excerpt(message.as_bytes(), "", 160)),
            "see the link `token`; the sidecar goes on trying",
        );
    }
    if let (Some(age), Some(age_max)) = (metric("queue_age_seconds"), metric("queue_age_max_seconds"))
        && age_max > 0.0
        && age > age_max * AGE_SHARE_WARNED
    {
        let (age, age_max) = (duration(age), duration(age_max));
        let finding = format!("the oldest queued request is {} old; at {} it expires", span(age), span(age_max));
        trouble(finding, "mend what holds delivery up, or raise REMORA_QUEUE_AGE_MAX");
    }
    if let (Some(used), Some(limit)) = (metric("queue_bytes"), metric("queue_bytes_max"))
        && limit > 0.0
        && used > limit * SIZE_SHARE_WARNED
    {
        let finding = format!("the queue is nearly full: {} of {}", bytes(used as u64), bytes(limit as u64));
        trouble(finding, "mend what holds delivery up, or raise REMORA_QUEUE_BYTES_MAX");
    }
    let answers = |code: &str| {
        let families = ["delivery_answers_total", "write_answers_total"];
        families
            .iter()
            .flat_map(|family| by(family, "code"))
            .filter(|(found, _)| *found == code)
            .map(|(_, count)| count)
            .sum::<f64>()
    };
    let throttled = answers("429");
    if throttled > 0.0 {
        trouble(format!("the endpoint answered {throttled} requests with 429: the ingestion quota is hit"), QUOTA_MEND);
    }
    let mut history = Vec::new();
    for loss in losses(&read, last_refusal, now) {
        if loss.is_recent {
            let mend = "`remora-sidecar ledger summary` tells how many for which reason, `ledger tail` which";
            trouble(loss.finding, mend);
        } else {
            history.push(loss.finding);
        }
    }
    let failed: f64 = by("write_requests_total", "outcome")
        .iter()
        .filter(|(outcome, _)| *outcome == "failed")
        .map(|(_, count)| count)
        .sum();
    let taken = metric("write_requests_total").unwrap_or(0.0) + metric("received_samples_total").unwrap_or(0.0);
    let uptime = metric("uptime_seconds").unwrap_or(0.0);
    if taken == 0.0 && uptime > QUIET_SECONDS {
        trouble(
            format!("nothing was ever sent to it in {}: no data is flowing", span(duration(uptime))),
            "set remote_write in Prometheus to http://localhost:8081/api/v1/write (LISTENING_PORT), and look into Prometheus' own log",
        );
    }

    let failure = &pages.status["last_failure"];
    let step = match troubles.first() {
        None => {
            let finding = match failed {
                0.0 if history.is_empty() => "the sidecar runs, is ready, and refused nothing".to_owned(),
                0.0 => "the sidecar runs and is ready".to_owned(),
                _ => format!("the sidecar runs and is ready; {failed} requests failed since it started"),
            };
            Step::ok(Link::Sidecar, finding)
        }
        Some((finding, mend)) => Step::warning(Link::Sidecar, finding.clone(), mend.clone()),
    };
    let step =
        troubles.iter().skip(1).fold(step, |step, (finding, mend)| step.with("also", format!("{finding}; {mend}")));
    let step = history.into_iter().fold(step, |step, finding| step.with("earlier", finding));
    let step = FACTS.iter().fold(step, |step, name| step.with_some(name, metric(name)));
    let step = step.with_some("version", pages.status["version"].as_str().map(|text| excerpt(text.as_bytes(), "", 40)));
    match failure["at"].as_str() {
        Some(at) => {
            let reason = failure["reason"].as_str().unwrap_or_default();
            step.with("last_failure", excerpt(format!("{at} {} {reason}", failure["status"]).as_bytes(), "", 160))
        }
        None => step,
    }
}

/// Samples that the account has as lost. It outlives restarts, so that there are some is no trouble of today by itself.
struct Loss {
    finding: String,
    /// Whether some were lost within [`RECENT`], or are about to be.
    is_recent: bool,
}

fn losses(read: &Exposition<'_>, last_refusal: Option<UnixTime>, now: UnixTime) -> Vec<Loss> {
    let metric = |name: &str| read.sum(&format!("remora_sidecar_{name}")).unwrap_or(0.0);
    let verdicts = |verdict: &str| {
        let all = read.by("remora_sidecar_delivery_verdicts_total", "verdict");
        all.iter().filter(|(found, _)| *found == verdict).map(|(_, count)| count).sum::<f64>()
    };
    let started_recently = metric("uptime_seconds") <= RECENT.as_secs_f64();
    let was_refused = match last_refusal {
        Some(at) => now.since(at) <= RECENT,
        // Where there is no ring to read, at least what was before the start is told from what came since.
        None => verdicts("quarantine") > 0.0,
    };
    let was_damaged = started_recently && metric("queue_set_aside_files_total") > 0.0;
    // When requests expired is kept nowhere. They do while the queue is at a bound.
    let is_at_bound = metric("queue_age_seconds") > metric("queue_age_max_seconds") * AGE_SHARE_WARNED
        || metric("queue_bytes") > metric("queue_bytes_max") * SIZE_SHARE_WARNED;
    let has_expired = is_at_bound || started_recently && verdicts("expired") > 0.0;
    [("rejected", was_refused || was_damaged), ("expired", has_expired)]
        .into_iter()
        .filter_map(|(how, is_recent)| {
            let count = Some(metric(&format!("{how}_samples_total"))).filter(|count| *count > 0.0)?;
            let reasons = read.by(&format!("remora_sidecar_{how}_samples_total"), "reason");
            let reasons = distinct(reasons.iter().map(|(reason, _)| (*reason).to_owned()).collect()).join(", ");
            let finding = format!("{count} samples were {how} since the queue was made ({reasons})");
            Some(Loss { finding, is_recent })
        })
        .collect()
}

fn blocked_words(reason: &str) -> String {
    match reason {
        "no_token" => "there is no token".to_owned(),
        "unauthorized" => "the endpoint refuses the token (401)".to_owned(),
        "forbidden" => "the endpoint refuses the identity (403)".to_owned(),
        "not_found" => "the endpoint does not know the rule or path (404)".to_owned(),
        "throttled" => "the endpoint throttles (429): the ingestion quota is hit".to_owned(),
        "unavailable" => "the endpoint fails (5xx)".to_owned(),
        "unreachable" => "the endpoint cannot be reached".to_owned(),
        "timeout" => "the endpoint does not answer in time".to_owned(),
        "invalid_answer" => "the endpoint answers something that is not HTTP".to_owned(),
        other => excerpt(other.as_bytes(), "", 40),
    }
}

fn blocked_mend(reason: &str) -> &'static str {
    match reason {
        "no_token" => "see the link `token`",
        "unauthorized" => "see the links `token` and `admission`",
        "forbidden" => {
            "see the link `role`: a role that was granted just now takes up to 30 minutes, and what is queued waits for it"
        }
        "not_found" => "see the link `binding`",
        "throttled" => QUOTA_MEND,
        "unreachable" => "see the links `dns`, `proxy`, `tcp` and `tls`",
        _ => "see the links before this one; if they hold, it passes, and what is queued waits for it",
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e12))
}

fn distinct(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words.dedup();
    words
}

/// Figures that stand in the report whatever they are, as far as the sidecar has them.
const FACTS: [&str; 8] = [
    "uptime_seconds",
    "write_requests_total",
    "received_samples_total",
    "delivered_samples_total",
    "queued_samples",
    "queue_requests",
    "queue_bytes",
    "queue_age_seconds",
];
/// What was lost longer ago is history: mended, or of somebody who has stopped sending it.
const RECENT: Duration = Duration::from_secs(60 * 60);
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// Prometheus sends every few seconds once it has something.
const QUIET_SECONDS: f64 = 120.0;
const AGE_SHARE_WARNED: f64 = 0.5;
const SIZE_SHARE_WARNED: f64 = 0.8;
