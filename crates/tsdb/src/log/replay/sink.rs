//! Where samples go on their way into the head: to workers, or straight there.
//!
//! Samples of each page of the head are gathered until a batch of them is worth it: so several samples of a series are appended
//! while its chunk is in the processor's cache, and what waits is in proportion to the series there are. A worker has
//! every so many pages. Batches travel there and back, so that their memory is used again; their number bounds what is on the
//! way.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use model::{NativeHistogram, TimestampMs};

use crate::head::{Appended, Head, HeadSample, PAGE_SERIES, place};

pub(super) struct Sink<'s> {
    head: &'s Head,
    /// What waits, by page.
    waiting: Vec<Batch>,
    /// No batch gets larger: the more pages there are, the smaller.
    batch_max: usize,
    /// Empty ones that came back.
    spare: Vec<Batch>,
    /// One for each worker.
    lanes: Vec<Lane>,
    workers: Vec<ScopedJoinHandle<'s, Appended>>,
    appended: Appended,
}

/// To a worker and back.
struct Lane {
    forth: SyncSender<Batch>,
    back: Receiver<Batch>,
    /// Batches that are not back.
    out: usize,
}

/// Samples of one page.
#[derive(Default)]
struct Batch {
    samples: Vec<HeadSample>,
    /// With so many samples it is sent, or with fewer if batches have to be smaller.
    full: usize,
    histograms: Vec<Arc<NativeHistogram>>,
}

impl<'s> Sink<'s> {
    /// Does something with a sink of so many workers, which end with it. Where threads cannot be started, there are fewer.
    pub(super) fn scope<T>(head: &Head, workers: usize, act: impl FnOnce(Sink<'_>) -> T) -> T {
        thread::scope(|scope| {
            let started = (0..workers).filter_map(|number| start_worker(scope, head, number));
            let (workers, lanes) = started.unzip();
            let (waiting, spare) = (Vec::new(), Vec::new());
            act(Sink { head, waiting, batch_max: BATCH_SAMPLES, spare, lanes, workers, appended: Appended::default() })
        })
    }

    /// Adds a float.
    #[inline]
    pub(super) fn float(&mut self, slot: u32, at: TimestampMs, value: f64) {
        let page = place(slot).0;
        let (batch, full) = self.batch(page);
        batch.make_room(full);
        batch.samples.push(HeadSample { slot, is_histogram: false, at, value: value.to_bits() });
        if batch.samples.len() >= full {
            self.send(page);
        }
    }

    /// Adds a histogram.
    pub(super) fn histogram(&mut self, slot: u32, at: TimestampMs, histogram: NativeHistogram) {
        let page = place(slot).0;
        let (batch, full) = self.batch(page);
        batch.make_room(full);
        batch.samples.push(HeadSample { slot, is_histogram: true, at, value: batch.histograms.len() as u64 });
        batch.histograms.push(Arc::new(histogram));
        if batch.samples.len() >= full || batch.histograms.len() >= BATCH_HISTOGRAMS {
            self.send(page);
        }
    }

    /// Waits until everything is in the head.
    pub(super) fn settle(&mut self) {
        self.send_all();
        for lane in &mut self.lanes {
            for _ in 0..std::mem::take(&mut lane.out) {
                // Dropping them is fine: new ones are made.
                lane.back.recv().expect(WORKER);
            }
        }
    }

    /// Waits until everything is in the head, ends the workers, and says what they did.
    pub(super) fn finish(mut self) -> Appended {
        self.send_all();
        self.lanes.clear();
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(appended) => self.appended.add(&appended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        self.appended
    }

    /// A page's batch, and with how many samples it is sent.
    #[inline]
    fn batch(&mut self, page: usize) -> (&mut Batch, usize) {
        // Scrapes bring samples to all pages alike. Were all batches full at the same time, workers would have nothing to do
        // until then, and after it the reader would wait for them.
        while page >= self.waiting.len() {
            let full = BATCH_SAMPLES / STAGGER * (self.waiting.len() / self.lanes.len().max(1) % STAGGER + 1);
            self.waiting.push(Batch { full, ..Batch::default() });
            self.batch_max = (WAITING_SAMPLES / self.waiting.len()).clamp(BATCH_SAMPLES / STAGGER, BATCH_SAMPLES);
        }
        let batch = &mut self.waiting[page];
        let full = batch.full.min(self.batch_max);
        (batch, full)
    }

    /// After it, nothing waits; nor is memory kept for what might.
    fn send_all(&mut self) {
        for page in 0..self.waiting.len() {
            if !self.waiting[page].samples.is_empty() {
                self.send(page);
            }
        }
        (self.waiting, self.spare) = (Vec::new(), Vec::new());
    }

    fn send(&mut self, page: usize) {
        if self.lanes.is_empty() {
            let batch = &mut self.waiting[page];
            self.appended.add(&batch.apply(self.head));
            batch.full = BATCH_SAMPLES;
            return;
        }
        let lanes = self.lanes.len();
        let lane = &mut self.lanes[page % lanes];
        if lane.out == LANE_BATCHES {
            self.spare.push(lane.back.recv().expect(WORKER));
            lane.out -= 1;
        }
        let next = Batch { full: BATCH_SAMPLES, ..self.spare.pop().unwrap_or_default() };
        lane.forth.send(std::mem::replace(&mut self.waiting[page], next)).expect(WORKER);
        lane.out += 1;
    }
}

fn start_worker<'scope>(
    scope: &'scope Scope<'scope, '_>,
    head: &'scope Head,
    number: usize,
) -> Option<(ScopedJoinHandle<'scope, Appended>, Lane)> {
    let ((forth, taken), (done, back)) = (sync_channel::<Batch>(LANE_BATCHES), sync_channel(LANE_BATCHES));
    let work = move || {
        let mut appended = Appended::default();
        for mut batch in taken {
            appended.add(&batch.apply(head));
            // The other end may be gone: it wants no batch back.
            let _ = done.send(batch);
        }
        appended
    };
    let worker = Builder::new().name(format!("tsdb-replay-{number}")).spawn_scoped(scope, work).ok()?;
    Some((worker, Lane { forth, back, out: 0 }))
}

impl Batch {
    /// For one more. A page of few series seldom fills a batch: its first samples get little room, and then all get theirs at
    /// once, because doubling would leave as much memory behind as it takes.
    #[inline]
    fn make_room(&mut self, full: usize) {
        let held = self.samples.len();
        if held == self.samples.capacity() {
            self.samples.reserve_exact(if held == 0 {
                BATCH_SAMPLES / STAGGER
            } else {
                full.saturating_sub(held).max(1)
            });
        }
    }

    /// Puts the samples into the head, and is empty.
    fn apply(&mut self, head: &Head) -> Appended {
        let appended = head.append(&self.samples, &self.histograms);
        self.samples.clear();
        self.histograms.clear();
        appended
    }
}

const WORKER: &str = "a worker ends after its sink, unless it panics, which is told";

/// Four of each series of a page, in 24 kB.
const BATCH_SAMPLES: usize = 4 * PAGE_SERIES;

/// In 6 MB; more pages than 65,000 series have get smaller batches.
const WAITING_SAMPLES: usize = 1 << 18;

/// First batches of pages are of so many sizes.
const STAGGER: usize = 16;

/// They are larger.
const BATCH_HISTOGRAMS: usize = 128;

/// On the way to a worker, there, or on the way back.
const LANE_BATCHES: usize = 16;
