//! Every metric family there is: the one place that the page, the documentation and their test agree on.

/// Name of the family, type, help. Samples of a counter add `_total` to the name, of an info `_info`, of a summary `_count`
/// and `_sum`, of a histogram `_bucket`, `_count` and `_sum`.
pub const METRICS: &[(&str, &str, &str)] = &[
    ("remora_sidecar_build", "info", "The version that runs."),
    ("remora_sidecar_uptime_seconds", "gauge", "Time since the start."),
    ("remora_sidecar_config_reloads", "counter", "Attempts to put changed settings into force, by outcome."),
    ("remora_sidecar_config_last_reload_successful", "gauge", "Whether the last attempt succeeded (1) or not (0)."),
    // requests of senders
    ("remora_sidecar_write_requests", "counter", "Write requests by the answer they finally got."),
    (
        "remora_sidecar_write_answers",
        "counter",
        "Final answers to write requests by status; 499 where the sender hung up before it got one.",
    ),
    ("remora_sidecar_write_duration_seconds", "histogram", "Time from the head of a write request to its answer."),
    ("remora_sidecar_write_body_bytes", "counter", "Bytes of the bodies of write requests."),
    ("remora_sidecar_query_requests", "counter", "Requests passed to the query endpoint."),
    ("remora_sidecar_malformed_requests", "counter", "Requests that are not valid HTTP."),
    ("remora_sidecar_connections", "gauge", "Connections of senders open now."),
    ("remora_sidecar_accept_errors", "counter", "Times that a connection of a sender could not be accepted."),
    ("remora_sidecar_tls_handshake_failures", "counter", "TLS handshakes of senders that came to nothing."),
    ("remora_sidecar_unauthenticated_requests", "counter", "Requests without the token that the listener asks for."),
    ("remora_sidecar_limited", "counter", "Times that a bound was hit."),
    // requests to upstreams
    ("remora_sidecar_repeats", "counter", "Requests sent to an upstream again."),
    ("remora_sidecar_upstream_connections", "counter", "Connections opened to upstreams."),
    ("remora_sidecar_token_usable", "gauge", "Whether there is an unexpired token (1) or not (0)."),
    ("remora_sidecar_token_expiry_timestamp_seconds", "gauge", "When the token expires or the last one did."),
    ("remora_sidecar_token_requests", "counter", "Attempts to get a token."),
    ("remora_sidecar_token_rejections", "counter", "Tokens renewed because the upstream answered 401."),
    // the account of samples (with a queue; since its directory was made, or since the start if it is in memory)
    (
        "remora_sidecar_received_samples",
        "counter",
        "Samples kept in the queue: delivered, rejected, expired or still queued.",
    ),
    ("remora_sidecar_delivered_samples", "counter", "Samples that the target took."),
    (
        "remora_sidecar_delivered_unconfirmed_samples",
        "counter",
        "Of the delivered, those that count as taken as the target called them duplicates or out of order after a repetition.",
    ),
    (
        "remora_sidecar_delivered_late_samples",
        "counter",
        "Of the delivered since the start, those sent so long after their receipt that the target may have discarded them.",
    ),
    ("remora_sidecar_rejected_samples", "counter", "Samples refused for good, by reason."),
    ("remora_sidecar_expired_samples", "counter", "Samples given up for their age or for want of space, by reason."),
    ("remora_sidecar_resent_samples", "counter", "Samples sent again although an earlier sending may have arrived."),
    ("remora_sidecar_queued_samples", "gauge", "Samples in the queue or on their way."),
    // the queue
    ("remora_sidecar_queue", "info", "What the queue stands on and promises."),
    ("remora_sidecar_queue_bytes", "gauge", "Bytes that the queue takes."),
    ("remora_sidecar_queue_bytes_max", "gauge", "Bytes that the queue may take."),
    ("remora_sidecar_queue_requests", "gauge", "Requests in the queue or on their way."),
    ("remora_sidecar_queue_age_seconds", "gauge", "Age of the oldest request in the queue; 0 when it is empty."),
    ("remora_sidecar_queue_age_max_seconds", "gauge", "Age at which a request in the queue expires."),
    ("remora_sidecar_queue_segments", "gauge", "Files of the queue's log."),
    ("remora_sidecar_queue_appends", "counter", "Requests kept since the start."),
    (
        "remora_sidecar_queue_pushed_back",
        "counter",
        "Requests answered 503 for want of room in the queue, since the start.",
    ),
    ("remora_sidecar_queue_append_errors", "counter", "Requests answered 503 as the disk failed, since the start."),
    ("remora_sidecar_queue_writable", "gauge", "Whether the queue takes requests (1) or not (0)."),
    ("remora_sidecar_queue_syncs", "counter", "Times that the queue's log was forced to the disk, since the start."),
    (
        "remora_sidecar_queue_set_aside_files",
        "counter",
        "Damaged files of the queue that were set aside, since the start.",
    ),
    ("remora_sidecar_queue_refusals", "gauge", "Refused series kept for looking at and sending again."),
    // delivery
    (
        "remora_sidecar_delivery_verdicts",
        "counter",
        "Answers of the target, and failures to get one, by what was done about them.",
    ),
    ("remora_sidecar_delivery_answers", "counter", "Answers of the target by status."),
    ("remora_sidecar_delivery_in_flight", "gauge", "Requests on their way to the target."),
    (
        "remora_sidecar_delivery_blocked",
        "gauge",
        "The reason why nothing goes to the target now; absent while something does.",
    ),
    (
        "remora_sidecar_delivery_blocked_since_timestamp_seconds",
        "gauge",
        "Since when nothing goes; absent while something does.",
    ),
    ("remora_sidecar_delivery_duration_seconds", "summary", "Time that the target took for the requests that it took."),
    ("remora_sidecar_delivery_body_bytes", "counter", "Bytes of the bodies sent to the target, repetitions included."),
    (
        "remora_sidecar_delivery_body_bytes_limit",
        "gauge",
        "The largest body that the target takes; absent until it refused one as too large.",
    ),
    ("remora_sidecar_last_delivery_timestamp_seconds", "gauge", "When the target took something last; absent before."),
    // the process
    ("process_resident_memory_bytes", "gauge", "Memory in RAM."),
    ("process_cpu_seconds", "counter", "Processor time used, user and system."),
    ("process_open_fds", "gauge", "Open files and sockets."),
    ("process_max_fds", "gauge", "Files and sockets that may be open."),
];
