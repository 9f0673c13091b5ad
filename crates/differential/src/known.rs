//! What is known to differ, and why: between versions of Prometheus, never between us and the version that we follow.

use crate::answer::Answer;
use crate::dialect::Dialect;

/// A query that a peer does not answer as the compliance list says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAsListed {
    /// The query.
    pub query: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Labels may have any name since 3.0, so that these do not fail any more.
pub const NOT_AS_LISTED: [NotAsListed; 2] = [
    NotAsListed {
        query: r#"label_replace(demo_num_cpus, "~invalid", "", "src", "(.*)")"#,
        reason: "any text may be the name of a label since 3.0",
    },
    NotAsListed {
        query: r#"label_join(demo_num_cpus, "~invalid", "-", "instance")"#,
        reason: "any text may be the name of a label since 3.0",
    },
];

/// A difference between versions.
#[derive(Clone, Copy, Debug)]
pub struct VersionDifference {
    /// Which peers have it.
    pub peers: &'static [Dialect],
    /// Why.
    pub reason: &'static str,
    /// Whether a difference on this query may be this one.
    explains: fn(query: &str, theirs: &Answer, ours: &Answer) -> bool,
}

/// All of them.
pub const VERSION_DIFFERENCES: &[VersionDifference] = &[];

/// Why the peer may answer otherwise, if that is known.
pub fn reason(dialect: Dialect, query: &str, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
    let mut known = VERSION_DIFFERENCES.iter().filter(|known| known.peers.contains(&dialect));
    known.find(|known| (known.explains)(query, theirs, ours)).map(|known| known.reason)
}
