//! Every bound of the proxy, in one place.

use std::time::Duration;

/// Bounds on what senders and upstreams may make the proxy hold or wait for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once; a further one is answered 503 once the head of its request is there, and closed.
    pub connections_max: usize,
    /// How many further ones are waited for at once; beyond it they are answered 503 unread.
    pub turned_away_max: usize,
    /// How long the head of a request on a further one may take.
    pub turned_away_timeout: Duration,
    /// Bytes of a request's or an answer's head.
    pub head_bytes_max: usize,
    /// Bytes of a request's body up to which it is kept, so that it can be sent again.
    pub kept_body_bytes_max: usize,
    /// Bytes of all requests under way together, of those whose body is kept; beyond it they wait for one another.
    pub kept_bytes_total_max: usize,
    /// What a request is counted as beside its body: buffers, and its connection to the upstream.
    pub request_bytes: usize,
    /// Requests under way at once whose body is not kept but passes through; beyond it they wait for one another.
    pub streams_max: usize,
    /// How long a request may wait for others to give memory back before it is answered 503.
    pub memory_timeout: Duration,
    /// Bytes of a request's body; a longer one is answered 413.
    pub body_bytes_max: u64,
    /// From the beginning of a connection to the end of the TLS handshake, where there is one.
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// How long a connection may rest between requests. Longer than Go's HTTP client keeps one (5 minutes), so that it
    /// is the sender who closes and no request meets a closing connection.
    pub idle_timeout: Duration,
    /// From a request leaving for the upstream to the head of its answer, connecting included.
    pub answer_timeout: Duration,
    /// Between two pieces of an answer's body, in either direction.
    pub stall_timeout: Duration,
    /// Idle connections kept to one upstream.
    pub upstream_idle_max: usize,
    /// How long one may rest before it is not used again.
    pub upstream_idle_timeout: Duration,
    /// How old one may become before it is not used again, so that a name that points elsewhere is followed.
    pub upstream_age_max: Duration,
    /// How long requests under way may take to end once the proxy is told to stop.
    pub drain_timeout: Duration,
    /// How long the rest of a head may take to arrive then.
    pub drain_head_timeout: Duration,
    /// How long the rest of a body may take to arrive then.
    pub drain_body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 12_000,
            turned_away_max: 256,
            turned_away_timeout: Duration::from_secs(1),
            head_bytes_max: 32 << 10,
            kept_body_bytes_max: 1 << 20,
            kept_bytes_total_max: 12 << 20,
            request_bytes: 16 << 10,
            streams_max: 32,
            memory_timeout: Duration::from_secs(10),
            body_bytes_max: 64 << 20,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(6 * 60),
            answer_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            upstream_idle_max: 32,
            upstream_idle_timeout: Duration::from_secs(50),
            upstream_age_max: Duration::from_secs(5 * 60),
            drain_timeout: Duration::from_secs(20),
            drain_head_timeout: Duration::from_secs(1),
            drain_body_timeout: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The same with no more connections than a process can have that may have `open_files_max` files open: some are for
    /// upstreams, logs and files.
    #[must_use]
    pub fn within_open_files(mut self, open_files_max: u64) -> Self {
        let open_files_max = usize::try_from(open_files_max).unwrap_or(usize::MAX);
        let reserved = OPEN_FILES_RESERVED.min(open_files_max / 2);
        self.connections_max = self.connections_max.min(open_files_max - reserved).max(1);
        self
    }
}

/// Upstream connections (one for each request under way, of which memory bounds the number), connections that are being
/// turned away, and what else is open.
const OPEN_FILES_RESERVED: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        for (open_files_max, connections_max) in
            [(u64::MAX, 12_000), (1 << 20, 12_000), (13_500, 12_000), (13_499, 11_999), (1024, 512), (1, 1), (0, 1)]
        {
            assert_eq!(Limits::default().within_open_files(open_files_max).connections_max, connections_max);
        }
        let limits = Limits::default();
        let requests_max = limits.kept_bytes_total_max / limits.request_bytes;
        assert!(requests_max + limits.streams_max + limits.turned_away_max + 100 < OPEN_FILES_RESERVED);
    }
}
