//! What the proxy tells about itself: `/health`, `/ready`, `/status`, `/metrics`.
//!
//! Everyone who can connect may read these. So failures are told by status and class of the reason: texts of upstreams and
//! issuers, which name rules, directories, principals and labels, are for the sender concerned and the log alone.

mod queue;

use environment::UnixTime;
use host::logging::Rfc3339;
use identity::{TokenError, TokenState};
use serde_json::{Value, json};

use crate::Shared;
use crate::forward::Destination;
use crate::metrics::{self, family, gauge, line};
use crate::refusal::Refusal;
use crate::route::Page;
use crate::server::LastFailure;

/// A page as it is answered.
pub(crate) struct Content {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn render(page: Page, shared: &Shared) -> Content {
    match page {
        // Whatever the token or the upstream: restarting this process would not mend either.
        Page::Health => Content { status: 200, content_type: "text/plain", body: Vec::new() },
        Page::Ready => ready(shared),
        Page::Status => {
            let body = format!("{:#}\n", status(shared)).into_bytes();
            Content { status: 200, content_type: "application/json", body }
        }
        Page::Metrics => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Content { status: 200, content_type, body: metrics_text(shared).into_bytes() }
        }
    }
}

fn ready(shared: &Shared) -> Content {
    let token = shared.ingestion.load().tokens.state();
    // A full queue is no reason by default: an unready sidecar makes the whole pod of its Prometheus unready.
    let refuses = shared.queue.as_ref().is_some_and(|queue| queue.ready_strict() && !queue.is_writable());
    let refusal = match (token.usable, refuses) {
        (true, false) => return Content { status: 200, content_type: "text/plain", body: Vec::new() },
        (true, true) => Refusal::unavailable("QueueNotWritable", "the queue takes no requests: /status tells why"),
        (false, _) => no_token(&token),
    };
    Content { status: refusal.status, content_type: "application/json", body: refusal.json() }
}

fn no_token(token: &TokenState) -> Refusal {
    let message = match &token.last_error {
        Some(error) => {
            let status = error.status().map(|status| format!(", status {status}")).unwrap_or_default();
            format!("there is no unexpired token ({}{status}): the log tells why", error.kind().name())
        }
        None => "there is no token yet: the first request for one is under way".to_owned(),
    };
    Refusal::unavailable("AuthenticationTokenNotFound", message)
}

fn status(shared: &Shared) -> Value {
    let metrics = &shared.metrics;
    let answers: serde_json::Map<String, Value> =
        metrics.answers.all().into_iter().map(|(status, count)| (status.to_string(), count.into())).collect();
    let mut status = json!({
        "version": shared.version,
        "started_at": time(shared.started_at),
        "uptime_seconds": shared.clock.monotonic().since(shared.started).as_secs(),
        "ingestion": destination(&shared.ingestion.load()),
        "query": shared.query.load().as_ref().map(|query| destination(&query.destination)),
        "write_requests": {
            "published": metrics.published.get(),
            "failed": metrics.failed.get(),
            "answers": answers,
            "body_bytes": metrics.body_bytes.get(),
            "repeated_after_401": metrics.repeats_unauthorized.get(),
            "repeated_on_closed_connection": metrics.repeats_connection.get(),
        },
        "query_requests": metrics.queries.get(),
        "connections": metrics.connections.get(),
        "last_failure": shared.last_failure().map(last_failure),
        "config_reloads": {
            "succeeded": shared.reloads.succeeded.get(),
            "failed": shared.reloads.failed.get(),
            "last_successful": shared.reloads.last_succeeded(),
        },
    });
    if let Some(queue) = &shared.queue {
        queue::add_status(&mut status, queue, shared.clock.now());
    }
    status
}

fn destination(destination: &Destination) -> Value {
    let token = destination.tokens.state();
    json!({
        // The host alone: a path may name a data collection rule, and this page is for everyone who can connect.
        "host": destination.upstream.target.authority,
        "token": {
            "credential": destination.tokens.credential_kind(),
            "audience": destination.tokens.scope().to_string(),
            "usable": token.usable,
            "expires_at": token.expires_at.map(time),
            "refresh_at": token.refresh_at.map(time),
            "last_success": token.last_success.map(time),
            "last_failure": token.last_failure.map(time),
            "last_error": token.last_error.as_ref().map(token_error),
            "consecutive_failures": token.consecutive_failures,
        },
    })
}

fn last_failure(failure: LastFailure) -> Value {
    json!({ "at": time(failure.at), "status": failure.status, "reason": failure.reason })
}

fn token_error(error: &TokenError) -> Value {
    json!({ "reason": error.kind().name(), "status": error.status(), "aadsts": error.aadsts() })
}

fn time(at: UnixTime) -> String {
    Rfc3339(at).to_string()
}

fn metrics_text(shared: &Shared) -> String {
    let mut out = String::with_capacity(16 << 10);
    family(&mut out, "remora_sidecar_build");
    line(&mut out, &format!("remora_sidecar_build_info{{version=\"{}\"}}", shared.version), 1);
    gauge(&mut out, "remora_sidecar_uptime_seconds", shared.clock.monotonic().since(shared.started).as_secs());
    let reloads = &shared.reloads;
    let name = "remora_sidecar_config_reloads";
    family(&mut out, name);
    line(&mut out, &format!("{name}_total{{outcome=\"success\"}}"), reloads.succeeded.get());
    line(&mut out, &format!("{name}_total{{outcome=\"failure\"}}"), reloads.failed.get());
    gauge(&mut out, "remora_sidecar_config_last_reload_successful", u8::from(reloads.last_succeeded()));
    shared.metrics.write(&mut out);
    let mut tokens = vec![("ingestion", shared.ingestion.load().tokens.state())];
    if let Some(query) = &*shared.query.load() {
        tokens.push(("query", query.destination.tokens.state()));
    }
    token_metrics(&mut out, &tokens);
    if let Some(queue) = &shared.queue {
        metrics::queue::write(&mut out, queue, shared.clock.now());
    }
    metrics::process::write(&mut out);
    out.push_str("# EOF\n");
    out
}

fn token_metrics(out: &mut String, tokens: &[(&str, TokenState)]) {
    let name = "remora_sidecar_token_usable";
    family(out, name);
    for (target, state) in tokens {
        line(out, &format!("{name}{{target=\"{target}\"}}"), u8::from(state.usable));
    }
    let name = "remora_sidecar_token_expiry_timestamp_seconds";
    family(out, name);
    for (target, state) in tokens {
        if let Some(expires_at) = state.expires_at {
            line(out, &format!("{name}{{target=\"{target}\"}}"), expires_at.as_secs());
        }
    }
    let name = "remora_sidecar_token_requests";
    family(out, name);
    for (target, state) in tokens {
        line(out, &format!("{name}_total{{target=\"{target}\",outcome=\"success\"}}"), state.successes);
        line(out, &format!("{name}_total{{target=\"{target}\",outcome=\"failure\"}}"), state.failures);
    }
    let name = "remora_sidecar_token_rejections";
    family(out, name);
    for (target, state) in tokens {
        line(out, &format!("{name}_total{{target=\"{target}\"}}"), state.rejections);
    }
}
