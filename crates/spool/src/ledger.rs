//! The account of samples: what became of everything that was received.

use remote_write::WrittenCounts;

/// Numbers of floats (`samples`), histograms and exemplars.
pub type Counts = WrittenCounts;

/// Why the target, or we for it, refused samples for good. The names stand in metrics and in the log on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rejection {
    /// The target said that these samples are wrong (400, 409, 422 and their like).
    Invalid,
    /// The target answered 401 for longer than the grace period.
    Unauthorized,
    /// The target answered 403 for longer than the grace period.
    Forbidden,
    /// The target does not know the rule or path (404, 405, 410) for longer than the grace period.
    NotFound,
    /// A single series is larger than the target takes.
    TooLarge,
    /// The target does not take this format, and it cannot be said in another.
    Unsupported,
    /// The target took the request but says that it did not write these.
    NotWritten,
    /// Finding out which series are bad took more requests than are allowed; these were not told apart.
    Undecided,
    /// The queue's own copy was damaged on disk.
    Damaged,
}

impl Rejection {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::TooLarge,
        Self::Unsupported,
        Self::NotWritten,
        Self::Undecided,
        Self::Damaged,
    ];

    /// The word of metrics and docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::NotWritten => "not_written",
            Self::Undecided => "undecided",
            Self::Damaged => "damaged",
        }
    }

    /// The place in [`Self::ALL`], which is also the number on disk.
    pub(crate) fn number(self) -> usize {
        self as usize
    }
}

/// Why samples were given up without the target refusing them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Expiry {
    /// They waited longer than the bound of age.
    Age,
    /// There was no room ([`crate::WhenFull::DropOldest`], [`crate::WhenFull::DropNewest`]).
    Space,
}

impl Expiry {
    /// All of them, in order.
    pub const ALL: [Self; 2] = [Self::Age, Self::Space];

    /// The word of metrics and docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Space => "space",
        }
    }

    /// The place in [`Self::ALL`], which is also the number on disk.
    pub(crate) fn number(self) -> usize {
        self as usize
    }
}

/// What became of one entry, to the sample: `delivered` and all of `rejected` and `expired` add up to its tally.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Taken by the target.
    pub delivered: Counts,
    /// Of these, how many count as taken only because the target called them duplicates of, or older than, what it has,
    /// after they had been sent before.
    pub unconfirmed: Counts,
    /// Refused for good.
    pub rejected: Vec<(Rejection, Counts)>,
    /// Given up.
    pub expired: Vec<(Expiry, Counts)>,
    /// Sent again although an earlier sending may have arrived; counted once per repetition, beside the equation.
    pub resent: Counts,
}

impl Outcome {
    /// The target took all of it.
    pub fn delivered(tally: Counts) -> Self {
        Self { delivered: tally, ..Self::default() }
    }

    /// All of it was refused.
    pub fn rejected(reason: Rejection, tally: Counts) -> Self {
        Self { rejected: vec![(reason, tally)], ..Self::default() }
    }

    /// All of it was given up.
    pub fn expired(reason: Expiry, tally: Counts) -> Self {
        Self { expired: vec![(reason, tally)], ..Self::default() }
    }

    /// What it adds up to.
    pub fn total(&self) -> Counts {
        let mut total = self.delivered;
        self.rejected.iter().for_each(|(_, counts)| total += *counts);
        self.expired.iter().for_each(|(_, counts)| total += *counts);
        total
    }
}

/// Totals since the queue's directory was made, and what is queued now. Always
/// `received = delivered + Σ rejected + Σ expired + queued`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// Made durable.
    pub received: Counts,
    /// Taken by the target.
    pub delivered: Counts,
    /// Of these, unconfirmed.
    pub unconfirmed: Counts,
    /// By reason, each reason once, in order.
    pub rejected: Vec<(Rejection, Counts)>,
    /// By reason, each reason once, in order.
    pub expired: Vec<(Expiry, Counts)>,
    /// Waiting or on their way.
    pub queued: Counts,
    /// Sent again.
    pub resent: Counts,
}
