//! One entry on its way: what of it is still to be sent, in which parts, and what became of the rest.
//!
//! No waiting and no sending here. [`Case::parcel`] makes the next request, [`Case::follow`] does what the verdict on its
//! answer says. One request of an entry is on its way at a time.
//!
//! An entry is sent as it was received until there is a reason to change it. Then it is cut into *chunks*: halves because
//! of its size, or because it is answered 500 again and again. A chunk that is refused gets a [`Bisection`]. The decoded
//! message is made anew for each cut and not kept.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use environment::{Monotonic, UnixTime};
use remote_write::{Limits, Version};
use spool::{Counts, Entry, EntryId, Refusal, Rejection};

use crate::account::Account;
use crate::bisection::{Bisection, requests_max};
use crate::counts::{is_none, less};
use crate::judge::may_have_stored;
use crate::known_bad::KnownBad;
use crate::message::Cause;
use crate::sections::Sections;
use crate::target::sent_twice;
use crate::{Answer, SendError, Verdict};

mod apart;
mod attempt;
mod ending;
mod failing;
#[cfg(test)]
mod tests;

pub(crate) use attempt::{Circumstances, Tried};
pub(crate) use ending::Settled;

/// See the module.
pub(crate) struct Case {
    pub(crate) id: EntryId,
    pub(crate) received_at: UnixTime,
    /// A hash of each series.
    pub(crate) series: Arc<[u32]>,
    /// Nothing is sent before this.
    pub(crate) not_before: Option<Monotonic>,
    /// What is sent, whole or in parts: the entry's body, or what it was transcoded to.
    load: Load,
    chunks: VecDeque<Chunk>,
    /// How the load is cut; none while it goes as it is.
    sections: Option<Sections>,
    /// Chunks made because of 500.
    cuts: u32,
    /// How often any part was answered 500, and what had happened to others when it was for the first time.
    server_errors: u64,
    before_server_errors: Option<Tried>,
    /// A unit that the target took.
    taken: Option<usize>,
    account: Account,
    refusals: Vec<Refusal>,
    /// The part on its way.
    flying: Option<Flying>,
}

struct Load {
    version: Version,
    body: Bytes,
    tally: Counts,
    /// Whether it turned out that it cannot be taken apart.
    solid: bool,
}

/// A run of units that is dealt with on its own.
#[derive(Default)]
struct Chunk {
    /// Of the sections; empty while there are none.
    units: Range<usize>,
    search: Option<Bisection<Arc<Cause>>>,
    /// Attempts at the part at hand.
    attempts: u32,
    server_errors: u32,
    /// How many of these came although something had been delivered since the one before.
    amid_deliveries: u32,
    /// How many requests had been delivered when this, or what it is a part of, was last answered 500.
    deliveries_at_failure: Option<u64>,
    part_of_failing: bool,
    sent_before: bool,
}

/// What is on its way.
#[derive(Clone)]
struct Flying {
    /// None: the load as it is.
    units: Option<Range<usize>>,
    version: Version,
    tally: Counts,
    bytes: usize,
    divisible: bool,
    /// Something that the target has already, sent to see whether it takes anything.
    canary: bool,
}

/// A request to be sent.
pub(crate) struct Parcel {
    pub(crate) version: Version,
    pub(crate) body: Bytes,
}

/// How parcels are made at the moment.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// The largest body that the target takes, as far as is known.
    pub(crate) body_bytes_max: Option<u64>,
    /// Say 2.0 in 1.0.
    pub(crate) transcode: bool,
    pub(crate) limits: &'a Limits,
    pub(crate) now: UnixTime,
    /// Requests that the target took since the start.
    pub(crate) deliveries: u64,
    /// Series that the target does not take.
    pub(crate) known_bad: &'a KnownBad,
}

impl Case {
    pub(crate) fn new(entry: Entry) -> Self {
        let Entry { id, received_at, version, body, tally, series, recovered } = entry;
        Self {
            id,
            received_at,
            series,
            not_before: None,
            load: Load { version, body, tally, solid: false },
            chunks: VecDeque::from([Chunk { sent_before: recovered, ..Chunk::default() }]),
            sections: None,
            cuts: 0,
            server_errors: 0,
            before_server_errors: None,
            taken: None,
            account: Account::new(tally),
            refusals: Vec::new(),
            flying: None,
        }
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        // Each hash stands in the entry and, with its owner, in the table of claims.
        self.load.body.len() + self.series.len() * (size_of::<u32>() + CLAIM_BYTES)
    }

    pub(crate) fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// The next request; `None` when there is nothing left to send.
    pub(crate) fn parcel(&mut self, shape: Shape<'_>) -> Option<Parcel> {
        if shape.transcode && self.load.version == Version::V2 {
            self.transcode(shape);
        }
        if let Some(canary) = self.canary(shape) {
            return Some(canary);
        }
        loop {
            let units = self.units_to_send(shape)?;
            let (body, tally) = match &units {
                None => (self.load.body.clone(), self.load.tally),
                Some(units) => self.cut(units.clone(), shape.limits),
            };
            let several = self.is_several(units.as_ref());
            let too_large = shape.body_bytes_max.is_some_and(|max| body.len() as u64 > max);
            if too_large && several && self.split(shape.limits) {
                continue;
            }
            let cuts_max = requests_max(self.series.len());
            let chunk = self.chunks.front_mut().expect("what is to be sent is of a chunk");
            let divisible = several && !self.load.solid && (!chunk.part_of_failing || self.cuts < cuts_max);
            chunk.attempts += 1;
            let version = self.load.version;
            self.flying = Some(Flying { units, version, tally, bytes: body.len(), divisible, canary: false });
            return Some(Parcel { version, body });
        }
    }

    /// Units of the next request, none of them for all that there is; `None` when nothing is left. Ends searches.
    fn units_to_send(&mut self, shape: Shape<'_>) -> Option<Option<Range<usize>>> {
        loop {
            let sections = self.sections.is_some();
            let chunk = self.chunks.front_mut()?;
            let Some(search) = &mut chunk.search else { return Some(sections.then(|| chunk.units.clone())) };
            if let Some(units) = search.next() {
                return Some(Some(units));
            }
            self.end_search(shape);
        }
    }

    fn is_several(&self, units: Option<&Range<usize>>) -> bool {
        units.map_or(self.series.len(), |units| units.len()) > 1
    }

    /// The parcel was not sent after all.
    pub(crate) fn take_back(&mut self) {
        let flying = self.flying.take();
        if let (Some(Flying { canary: false, .. }), Some(chunk)) = (flying, self.chunks.front_mut()) {
            chunk.attempts -= 1;
        }
    }

    /// Does what the verdict on the parcel's answer says, as far as it concerns this entry. Answers what was delivered.
    pub(crate) fn follow(&mut self, verdict: &Verdict, answer: &Result<Answer, SendError>, shape: Shape<'_>) -> Counts {
        let Some(flying) = self.flying.take() else { unreachable!("a verdict is about a parcel") };
        let Some(chunk) = self.chunks.front_mut() else { unreachable!("a parcel is of a chunk") };
        if flying.canary {
            self.account.resent(if may_have_stored(answer) { flying.tally } else { Counts::default() });
            return Counts::default();
        }
        chunk.sent_before |= sent_twice(answer);
        if may_have_stored(answer) {
            if chunk.sent_before {
                self.account.resent(flying.tally);
            }
            chunk.sent_before = true;
        }
        let mut delivered = Counts::default();
        match verdict {
            Verdict::Delivered { missing, unconfirmed } => {
                let cause = Cause::of(Rejection::NotWritten, answer);
                if !is_none(*missing) {
                    self.put_in_ring(self.series_of(&flying), *missing, &cause, shape);
                }
                self.account.reject(Rejection::NotWritten, *missing);
                self.account.deliver_unconfirmed(*unconfirmed);
                delivered = less(less(flying.tally, *missing), *unconfirmed);
                self.account.deliver(delivered);
                delivered += *unconfirmed;
                self.taken = flying.units.map(|units| units.start).or(self.taken);
                self.part_taken();
            }
            Verdict::Quarantine { reason, written } => {
                let reason = match reason {
                    // Several that could not be cut.
                    Rejection::Invalid if is_none(*written) && self.is_several(flying.units.as_ref()) => {
                        Rejection::Undecided
                    }
                    reason => *reason,
                };
                let rejected = less(flying.tally, *written);
                self.put_in_ring(self.series_of(&flying), rejected, &Cause::of(reason, answer), shape);
                self.account.reject(reason, rejected);
                self.account.deliver(*written);
                delivered = *written;
                self.part_settled();
            }
            Verdict::Bisect => self.bisect(flying, answer, shape),
            Verdict::Split if chunk.search.is_some() => self.bisect(flying, answer, shape),
            Verdict::Split => drop(self.split(shape.limits)),
            Verdict::Transcode => self.transcode(shape),
            Verdict::Retry { .. } if matches!(answer, Ok(Answer { status: 500, .. })) => self.chunks.rotate_left(1),
            Verdict::Retry { .. } | Verdict::RefreshToken | Verdict::Hold { .. } | Verdict::Expired => {}
        }
        delivered
    }

    fn part_taken(&mut self) {
        let Some(chunk) = self.chunks.front_mut() else { return };
        chunk.start_anew();
        match &mut chunk.search {
            Some(search) => search.taken(),
            None => drop(self.chunks.pop_front()),
        }
    }

    fn part_settled(&mut self) {
        let Some(chunk) = self.chunks.front_mut() else { return };
        chunk.start_anew();
        match &mut chunk.search {
            Some(search) => search.settled(),
            None => drop(self.chunks.pop_front()),
        }
    }

    /// Whether everything has been sent or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.chunks.is_empty()
    }
}

impl Chunk {
    /// Another part of it is next.
    fn start_anew(&mut self) {
        self.attempts = 0;
        (self.server_errors, self.amid_deliveries) = (0, 0);
        self.deliveries_at_failure = None;
    }
}

/// Bytes of an entry in the table of claims, with the room that tables keep free.
const CLAIM_BYTES: usize = 24;
