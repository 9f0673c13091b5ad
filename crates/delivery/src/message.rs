//! A request opened up: which series it names, what they hold, and requests with some of them.

use std::collections::{BinaryHeap, HashSet};

use bytes::Bytes;
use environment::UnixTime;
use remote_write::{Limits, SeriesIndex, Version, framing, transcode_to_v1};
use spool::{Counts, EntryId, Refusal, Rejection};

use crate::answer_text::{AnswerText, names};
use crate::counts::{is_none, less};
use crate::{Answer, SendError, suspects};

/// An opened request. Lives for one step and is not kept.
pub(crate) struct Message<'m> {
    decoded: &'m [u8],
    index: SeriesIndex<'m>,
    limits: &'m Limits,
}

/// Why something was refused, and what the target said.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: Rejection,
    pub(crate) status: Option<u16>,
    pub(crate) text: String,
    /// Whether the target says that it has this, or something newer.
    pub(crate) repetition: bool,
}

impl Cause {
    pub(crate) fn of(reason: Rejection, answer: &Result<Answer, SendError>) -> Self {
        match answer {
            Ok(answer) => {
                let text = AnswerText::of(answer);
                let repetition = text.speaks_of_repetition();
                Self { reason, status: Some(answer.status), text: text.as_str().to_owned(), repetition }
            }
            Err(error) => Self { reason, status: None, text: error.message.clone(), repetition: false },
        }
    }
}

/// Opens the body of a request; `None` when it is damaged.
pub(crate) fn with_message<R>(
    version: Version,
    body: &[u8],
    limits: &Limits,
    look: impl FnOnce(&Message<'_>) -> R,
) -> Option<R> {
    let mut decoded = Vec::new();
    framing::decode(body, DECODED_BYTES_MAX, &mut decoded).ok()?;
    let index = SeriesIndex::of(version, &decoded, limits).ok()?;
    Some(look(&Message { decoded: &decoded, index, limits }))
}

impl Message<'_> {
    pub(crate) fn hashes(&self) -> Vec<u32> {
        (0..self.index.len()).map(|series| self.index.hash(series)).collect()
    }

    /// All of its series.
    pub(crate) fn all(&self) -> Vec<u32> {
        (0..self.index.len() as u32).collect()
    }

    pub(crate) fn tally(&self, series: &[u32]) -> Counts {
        let mut tally = Counts::default();
        for series in series {
            let series = *series as usize;
            tally += self.index.tally(series..series + 1);
        }
        tally
    }

    /// A body with these series.
    pub(crate) fn cut(&self, series: &[u32], with_metadata: bool) -> Bytes {
        Bytes::from(framing::encode(&self.cut_message(series, with_metadata)))
    }

    /// The same before compression.
    pub(crate) fn cut_message(&self, series: &[u32], with_metadata: bool) -> Vec<u8> {
        let mut message = Vec::new();
        self.index.cut(series.iter().map(|series| *series as usize), with_metadata, &mut message);
        message
    }

    /// Those of these series that a text names, or gives by their numbers in a request with just these in this order.
    pub(crate) fn named_in(&self, text: &AnswerText, series: &[u32]) -> HashSet<u32> {
        let searched = text.to_searched();
        if searched.is_empty() {
            return HashSet::new();
        }
        let is_named = |series: &&u32| {
            let labels = self.index.labels(**series as usize, &self.limits.labels);
            labels.is_ok_and(|labels| names(&searched, &labels.to_string()))
        };
        let mut named: HashSet<u32> = series.iter().filter(is_named).copied().collect();
        // Numbers of another request would mean others.
        if let Some(list) = text.list().filter(|list| list.stored_of(self.tally(series)).is_some()) {
            named.extend(list.series_numbers().filter_map(|number| series.get(number)));
        }
        named
    }

    /// For each series whether it breaks a limit that receivers are known to have.
    pub(crate) fn suspects(&self, now: UnixTime) -> Vec<bool> {
        suspects::by_limits(self.index.version(), self.decoded, self.limits, now)
    }

    /// These series for people: each once, the first of them in the order of their texts, and how many more.
    pub(crate) fn text(&self, series: &[u32]) -> String {
        let mut seen = HashSet::new();
        let mut first = BinaryHeap::new();
        for series in series.iter().filter(|series| seen.insert(self.index.hash(**series as usize))) {
            first.push(self.index.text(*series as usize, &self.limits.labels));
            if first.len() > SERIES_NAMED_MAX {
                first.pop();
            }
        }
        let mut bytes = 0;
        let mut named = first.into_sorted_vec();
        // The first is named however long it is.
        let fitting = named.iter().take_while(|text| {
            let fits = bytes == 0 || bytes + text.len() <= SERIES_TEXT_BYTES_MAX;
            bytes += text.len();
            fits
        });
        named.truncate(fitting.count());
        match (named.len(), seen.len()) {
            (0, _) => "(no series)".to_owned(),
            (shown, all) if shown < all => format!("{} and {} more", named.join(", "), all - shown),
            _ => named.join(", "),
        }
    }

    /// Entries of the ring for these series, of which `refused` was refused: one if that is all of them; otherwise one each
    /// for those that the answer names, and one for the others together.
    pub(crate) fn refusals(
        &self,
        series: &[u32],
        refused: Counts,
        cause: &Cause,
        at: UnixTime,
        entry: EntryId,
    ) -> Vec<Refusal> {
        if self.tally(series) == refused {
            return vec![self.refusal(series, refused, cause, at, entry)];
        }
        let named = self.named_in(&AnswerText::from(cause.text.as_str()), series);
        let mut left = refused;
        let mut refusals = Vec::new();
        for series in series.iter().filter(|series| named.contains(series)) {
            let tally = self.tally(&[*series]).min(left);
            left = less(left, tally);
            refusals.push(self.refusal(&[*series], tally, cause, at, entry));
        }
        if !is_none(left) {
            let others: Vec<u32> = series.iter().filter(|series| !named.contains(series)).copied().collect();
            refusals.push(self.refusal(if others.is_empty() { series } else { &others }, left, cause, at, entry));
        }
        refusals
    }

    fn refusal(&self, series: &[u32], tally: Counts, cause: &Cause, at: UnixTime, entry: EntryId) -> Refusal {
        let message = self.cut_message(series, false);
        let message = match self.index.version() {
            Version::V1 => Some(message),
            Version::V2 => transcode_to_v1(&message, self.limits).ok().map(|transcoded| transcoded.message),
        };
        let body = message.map(|message| Bytes::from(framing::encode(&message))).unwrap_or_default();
        refusal(self.text(series), body, tally, cause, at, entry)
    }
}

/// An entry of the ring.
pub(crate) fn refusal(
    series: String,
    body: Bytes,
    tally: Counts,
    cause: &Cause,
    at: UnixTime,
    entry: EntryId,
) -> Refusal {
    let Cause { reason, status, text, .. } = cause;
    Refusal { at, entry, reason: *reason, status: *status, answer: text.clone(), series, tally, body }
}

/// The bound on what a body may decode to. What is in the queue got there through a tighter one.
const DECODED_BYTES_MAX: usize = 256 << 20;
/// How many series an entry of the ring names,
const SERIES_NAMED_MAX: usize = 20;
/// and how long their names may be.
const SERIES_TEXT_BYTES_MAX: usize = 8 << 10;
