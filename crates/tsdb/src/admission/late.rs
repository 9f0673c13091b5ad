//! What a group of batches brings for the out-of-order store: which samples are late, whether they are still taken, and what
//! the group has taken of them so far.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use model::{NativeHistogram, TimestampMs};
use storage::{AgeLimit, AppendError};
use tsdb_format::wal::record::WalRef;

use super::records::Records;
use crate::head::{Head, HeadSample, Value};
use crate::ooo::{Busy, Ooo, OpenRanges};
use crate::settings::Settings;

/// See the module's text.
pub(super) struct Late {
    samples: Vec<HeadSample>,
    histograms: Vec<Arc<NativeHistogram>>,
    /// Indices of `samples`, by series and time.
    taken: HashMap<(u32, i64), u32>,
    records: Records,
    /// Older samples do not go to the head, however old its series are.
    floor: TimestampMs,
    /// The oldest late sample that is taken.
    oldest: TimestampMs,
    /// No late sample is taken.
    never: bool,
    /// Ranges that the group's samples need, and those that were open before it.
    planned: Option<OpenRanges>,
}

impl Late {
    pub(super) fn new() -> Self {
        Self {
            samples: Vec::new(),
            histograms: Vec::new(),
            taken: HashMap::new(),
            records: Records::default(),
            floor: TimestampMs::MIN,
            oldest: TimestampMs::MIN,
            never: false,
            planned: None,
        }
    }

    /// Looks where the head stands. Before each batch: it is cheap.
    pub(super) fn follow(&mut self, head: &Head, ooo: &Ooo, settings: &Settings) {
        self.floor = ooo.follow(head);
        self.never = settings.out_of_order_window == Some(Duration::ZERO);
        self.oldest = match (settings.out_of_order_window, head.time_range()) {
            (Some(window), Some(range)) => range.end.plus(-millis(window)),
            _ => TimestampMs::MIN,
        };
    }

    /// Samples older than this do not go to the head.
    #[inline]
    pub(super) fn floor(&self) -> TimestampMs {
        self.floor
    }

    /// Whether there is room for the late ones among samples of these times.
    pub(super) fn plan(&mut self, ooo: &Ooo, times: impl Iterator<Item = TimestampMs> + Clone) -> Result<(), Busy> {
        let (floor, oldest) = (self.floor, self.oldest);
        if self.never || times.clone().all(|at| at >= floor) {
            return Ok(());
        }
        let planned = self.planned.get_or_insert_with(|| ooo.open_ranges());
        ooo.plan(times.filter(|at| *at < floor && *at >= oldest), planned)
    }

    /// Why a late sample that is not stored yet is not taken; `newest` is its series' newest one.
    pub(super) fn refusal(&self, at: TimestampMs, newest: Option<TimestampMs>) -> Option<AppendError> {
        let too_old = |oldest| AppendError::TooOld { at, oldest, limit: AgeLimit::OutOfOrderWindow };
        match newest {
            Some(newest) if self.never && at < newest => Some(AppendError::OutOfOrder { at, newest }),
            _ if self.never => Some(too_old(self.floor)),
            _ if at < self.oldest => Some(too_old(self.oldest)),
            _ => None,
        }
    }

    /// The value that the group has taken for this time.
    pub(super) fn find(&self, slot: u32, at: TimestampMs) -> Option<Value> {
        let index = *self.taken.get(&(slot, at.0))?;
        Some(self.samples[index as usize].value(&self.histograms))
    }

    /// Takes a sample whose time its series has nowhere.
    pub(super) fn take(&mut self, slot: u32, reference: WalRef, at: TimestampMs, value: Value) {
        self.records.sample(reference, at, &value);
        let (is_histogram, value) = match value {
            Value::Float(value) => (false, value.to_bits()),
            Value::Histogram(histogram) => {
                self.histograms.push(histogram);
                (true, self.histograms.len() as u64 - 1)
            }
        };
        self.taken.insert((slot, at.0), self.samples.len() as u32);
        self.samples.push(HeadSample { slot, is_histogram, at, value });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub(super) fn samples(&self) -> &[HeadSample] {
        &self.samples
    }

    pub(super) fn histograms(&self) -> &[Arc<NativeHistogram>] {
        &self.histograms
    }

    /// Gives away the group's records.
    pub(super) fn finish(&mut self, give: impl FnMut(&[u8])) {
        self.records.flush(give);
    }

    /// Gives back memory that is kept for the next group.
    pub(super) fn rest(&mut self) {
        self.samples = Vec::new();
        self.histograms = Vec::new();
        self.taken = HashMap::new();
        self.records = Records::default();
    }

    /// Is ready for the next group.
    pub(super) fn forget(&mut self) {
        self.planned = None;
        self.records.flush(|_| {});
        self.samples.clear();
        self.histograms.clear();
        self.taken.clear();
        // One unusually large group must not cost memory for ever.
        self.samples.shrink_to(KEPT_SAMPLES_MAX);
        self.taken.shrink_to(KEPT_SAMPLES_MAX);
    }
}

fn millis(window: Duration) -> i64 {
    i64::try_from(window.as_millis()).unwrap_or(i64::MAX)
}

const KEPT_SAMPLES_MAX: usize = 16 << 10;
