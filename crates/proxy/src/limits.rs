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
    /// Bytes of all kept bodies together; beyond it bodies stream through unkept.
    pub kept_bytes_total_max: usize,
    /// Bytes of a request's body; a longer one is answered 413.
    pub body_bytes_max: u64,
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
            connections_max: 512,
            turned_away_max: 64,
            turned_away_timeout: Duration::from_secs(1),
            head_bytes_max: 32 << 10,
            kept_body_bytes_max: 1 << 20,
            kept_bytes_total_max: 64 << 20,
            body_bytes_max: 64 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(6 * 60),
            answer_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            upstream_idle_max: 32,
            upstream_idle_timeout: Duration::from_secs(50),
            drain_timeout: Duration::from_secs(20),
            drain_head_timeout: Duration::from_secs(1),
            drain_body_timeout: Duration::from_secs(5),
        }
    }
}
