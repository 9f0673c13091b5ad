//! What `/status` tells of the queue, its ledger and delivery. No label of a series, no text of the target.

use delivery::{Blocked, State};
use environment::UnixTime;
use serde_json::{Map, Value, json};
use spool::{Counts, Ledger};

use super::time;
use crate::metrics::queue::{sync, when_full};
use crate::queue::Queue;

/// Adds the sections `queue`, `ledger` and `delivery`.
pub(super) fn add_status(status: &mut Value, queue: &Queue, now: UnixTime) {
    status["queue"] = queue_section(queue, now);
    status["ledger"] = ledger(&queue.spool.ledger());
    status["delivery"] = delivery(&queue.delivery.state());
}

fn queue_section(queue: &Queue, now: UnixTime) -> Value {
    let (stats, settings) = (queue.spool.stats(), queue.spool.settings());
    let (remote_write_2, target_takes) = queue.gate.knowledge();
    json!({
        "medium": queue.medium.name(),
        "survives_crash": queue.medium.survives_crash(),
        "when_full": when_full(settings.when_full),
        "sync": sync(settings.sync),
        "requests": stats.entries,
        "bytes": stats.bytes,
        "bytes_max": settings.bytes_max,
        "segments": stats.segments,
        "oldest_received_at": stats.oldest.map(time),
        "age_seconds": stats.oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
        "age_max_seconds": settings.age_max.as_secs(),
        "writable": queue.is_writable(),
        // What the system says of its own file, such as that the disk is full: no path, no text of others.
        "disk_error": stats.disk_error.as_deref(),
        "appended_requests": stats.appends,
        "pushed_back_requests": stats.pushed_back,
        "failed_requests": stats.append_errors,
        "set_aside_files": stats.set_aside,
        "refused_series_kept": stats.refusals,
        "remote_write_2": {
            "setting": remote_write_2.name(),
            "target_takes": target_takes,
        },
    })
}

fn ledger(ledger: &Ledger) -> Value {
    let by_reason = |reasons: Vec<(&'static str, Counts)>| -> Map<String, Value> {
        reasons.into_iter().map(|(reason, found)| (reason.to_owned(), counts(found))).collect()
    };
    json!({
        "received": counts(ledger.received),
        "delivered": counts(ledger.delivered),
        "delivered_unconfirmed": counts(ledger.unconfirmed),
        "rejected": by_reason(ledger.rejected.iter().map(|(reason, found)| (reason.name(), *found)).collect()),
        "expired": by_reason(ledger.expired.iter().map(|(reason, found)| (reason.name(), *found)).collect()),
        "queued": counts(ledger.queued),
        "resent": counts(ledger.resent),
    })
}

fn delivery(state: &State) -> Value {
    let answers: Map<String, Value> =
        state.answers.iter().map(|(status, count)| (status.to_string(), (*count).into())).collect();
    json!({
        "in_flight": state.in_flight,
        "delivered_requests": state.delivered_requests,
        "delivered_late": counts(state.late),
        "body_bytes": state.body_bytes,
        "body_bytes_limit": state.body_bytes_limit,
        "last_delivery": state.last_delivery.map(time),
        "blocked": state.blocked.as_ref().map(blocked),
        "verdicts": state.verdicts,
        "answers": answers,
    })
}

fn blocked(blocked: &Blocked) -> Value {
    json!({
        "reason": blocked.reason,
        "since": time(blocked.since),
        "retry_at": time(blocked.retry_at),
        "status": blocked.status,
    })
}

fn counts(counts: Counts) -> Value {
    json!({ "floats": counts.samples, "histograms": counts.histograms, "exemplars": counts.exemplars })
}
