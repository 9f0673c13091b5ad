//! The metrics of a proxy with a queue: the account of samples, the queue, delivery.
//!
//! The account is one snapshot, so that received = delivered + rejected + expired + queued holds in every scrape.

use delivery::State;
use environment::UnixTime;
use spool::{Counts, Expiry, Ledger, Rejection, Settings, Stats, Sync, WhenFull};

use super::{counter, family, gauge, line};
use crate::queue::Queue;

/// Appends all of them.
pub(crate) fn write(out: &mut String, queue: &Queue, now: UnixTime) {
    let state = queue.delivery.state();
    write_account(out, &queue.spool.ledger(), state.late);
    write_queue(out, queue, &queue.spool.stats(), &queue.spool.settings(), now);
    write_delivery(out, &state);
}

fn write_account(out: &mut String, ledger: &Ledger, late: Counts) {
    for (name, counts) in [
        ("remora_sidecar_received_samples", ledger.received),
        ("remora_sidecar_delivered_samples", ledger.delivered),
        ("remora_sidecar_delivered_unconfirmed_samples", ledger.unconfirmed),
        ("remora_sidecar_delivered_late_samples", late),
        ("remora_sidecar_resent_samples", ledger.resent),
    ] {
        family(out, name);
        by_kind(out, &format!("{name}_total"), "", counts);
    }
    // Every reason from the start, with 0: what is to grow has to be there before.
    let name = "remora_sidecar_rejected_samples";
    family(out, name);
    for reason in Rejection::ALL {
        let counts = ledger.rejected.iter().find(|(found, _)| *found == reason).map(|(_, counts)| *counts);
        let label = format!(",reason=\"{}\"", reason.name());
        by_kind(out, &format!("{name}_total"), &label, counts.unwrap_or_default());
    }
    let name = "remora_sidecar_expired_samples";
    family(out, name);
    for reason in Expiry::ALL {
        let counts = ledger.expired.iter().find(|(found, _)| *found == reason).map(|(_, counts)| *counts);
        let label = format!(",reason=\"{}\"", reason.name());
        by_kind(out, &format!("{name}_total"), &label, counts.unwrap_or_default());
    }
    let name = "remora_sidecar_queued_samples";
    family(out, name);
    by_kind(out, name, "", ledger.queued);
}

fn by_kind(out: &mut String, name: &str, more_labels: &str, counts: Counts) {
    for (kind, count) in [("float", counts.samples), ("histogram", counts.histograms), ("exemplar", counts.exemplars)] {
        line(out, &format!("{name}{{kind=\"{kind}\"{more_labels}}}"), count);
    }
}

fn write_queue(out: &mut String, queue: &Queue, stats: &Stats, settings: &Settings, now: UnixTime) {
    let name = "remora_sidecar_queue";
    family(out, name);
    let labels = format!(
        "medium=\"{}\",survives_crash=\"{}\",when_full=\"{}\",sync=\"{}\"",
        queue.medium.name(),
        queue.medium.survives_crash(),
        when_full(settings.when_full),
        sync(settings.sync)
    );
    line(out, &format!("{name}_info{{{labels}}}"), 1);
    gauge(out, "remora_sidecar_queue_bytes", stats.bytes);
    gauge(out, "remora_sidecar_queue_bytes_max", settings.bytes_max);
    gauge(out, "remora_sidecar_queue_requests", stats.entries);
    gauge(out, "remora_sidecar_queue_age_seconds", stats.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64()));
    gauge(out, "remora_sidecar_queue_age_max_seconds", settings.age_max.as_secs_f64());
    gauge(out, "remora_sidecar_queue_segments", stats.segments);
    counter(out, "remora_sidecar_queue_appends", stats.appends);
    counter(out, "remora_sidecar_queue_pushed_back", stats.pushed_back);
    counter(out, "remora_sidecar_queue_append_errors", stats.append_errors);
    gauge(out, "remora_sidecar_queue_writable", u8::from(queue.is_writable()));
    counter(out, "remora_sidecar_queue_syncs", stats.syncs);
    counter(out, "remora_sidecar_queue_set_aside_files", stats.set_aside);
    gauge(out, "remora_sidecar_queue_refusals", stats.refusals);
}

fn write_delivery(out: &mut String, state: &State) {
    let name = "remora_sidecar_delivery_verdicts";
    family(out, name);
    for verdict in VERDICTS {
        let count = state.verdicts.get(verdict).copied().unwrap_or_default();
        line(out, &format!("{name}_total{{verdict=\"{verdict}\"}}"), count);
    }
    let name = "remora_sidecar_delivery_answers";
    family(out, name);
    for (status, count) in &state.answers {
        line(out, &format!("{name}_total{{code=\"{status}\"}}"), count);
    }
    gauge(out, "remora_sidecar_delivery_in_flight", state.in_flight);
    if let Some(blocked) = &state.blocked {
        let name = "remora_sidecar_delivery_blocked";
        family(out, name);
        line(out, &format!("{name}{{reason=\"{}\"}}", blocked.reason), 1);
        gauge(out, "remora_sidecar_delivery_blocked_since_timestamp_seconds", seconds(blocked.since));
    }
    let name = "remora_sidecar_delivery_duration_seconds";
    family(out, name);
    line(out, &format!("{name}_count"), state.delivered_requests);
    line(out, &format!("{name}_sum"), state.delivered_time.as_secs_f64());
    counter(out, "remora_sidecar_delivery_body_bytes", state.body_bytes);
    if let Some(limit) = state.body_bytes_limit {
        gauge(out, "remora_sidecar_delivery_body_bytes_limit", limit);
    }
    if let Some(last) = state.last_delivery {
        gauge(out, "remora_sidecar_last_delivery_timestamp_seconds", seconds(last));
    }
}

fn seconds(at: UnixTime) -> f64 {
    at.since_epoch().as_secs_f64()
}

/// The word of settings and metrics.
pub(crate) fn when_full(when_full: WhenFull) -> &'static str {
    match when_full {
        WhenFull::PushBack => "push-back",
        WhenFull::DropOldest => "drop-oldest",
        WhenFull::DropNewest => "drop-newest",
    }
}

/// The word of settings and metrics.
pub(crate) fn sync(sync: Sync) -> &'static str {
    match sync {
        Sync::Interval(_) => "interval",
        Sync::EveryRequest => "every-request",
        Sync::Never => "never",
    }
}

/// As [`delivery::Verdict::name`] has them.
const VERDICTS: [&str; 9] =
    ["delivered", "retry", "refresh_token", "hold", "split", "bisect", "transcode", "quarantine", "expired"];
