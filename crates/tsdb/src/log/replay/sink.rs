//! Where samples go on their way into the head: to workers, or straight there.
//!
//! A worker has every so many pages of the head. Batches travel there and back, so that their memory is used again; their number
//! bounds what is on the way.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use model::{NativeHistogram, TimestampMs};

use crate::head::{Appended, Head, HeadSample, place};

pub(super) struct Sink<'s> {
    head: &'s Head,
    /// At least one.
    shards: Vec<Shard>,
    workers: Vec<ScopedJoinHandle<'s, Appended>>,
    appended: Appended,
}

/// The samples for one worker, or for all pages when there is none.
#[derive(Default)]
struct Shard {
    filling: Batch,
    lane: Option<Lane>,
}

/// To a worker and back.
struct Lane {
    forth: SyncSender<Batch>,
    back: Receiver<Batch>,
    /// Batches made.
    made: usize,
}

#[derive(Default)]
struct Batch {
    samples: Vec<HeadSample>,
    histograms: Vec<Arc<NativeHistogram>>,
}

impl<'s> Sink<'s> {
    /// Does something with a sink of so many workers, which end with it. Where threads cannot be started, there are fewer.
    pub(super) fn scope<T>(head: &Head, workers: usize, act: impl FnOnce(Sink<'_>) -> T) -> T {
        thread::scope(|scope| {
            let mut sink = Sink { head, shards: Vec::new(), workers: Vec::new(), appended: Appended::default() };
            for (worker, lane) in (0..workers).filter_map(|number| start_worker(scope, head, number)) {
                sink.workers.push(worker);
                sink.shards.push(Shard { filling: Batch::default(), lane: Some(lane) });
            }
            if sink.shards.is_empty() {
                sink.shards.push(Shard::default());
            }
            act(sink)
        })
    }

    /// Adds a float.
    #[inline]
    pub(super) fn float(&mut self, slot: u32, at: TimestampMs, value: f64) {
        let shard = self.shard(slot);
        let batch = &mut self.shards[shard].filling;
        batch.samples.push(HeadSample { slot, is_histogram: false, at, value: value.to_bits() });
        if batch.samples.len() >= BATCH_SAMPLES {
            self.send(shard);
        }
    }

    /// Adds a histogram.
    pub(super) fn histogram(&mut self, slot: u32, at: TimestampMs, histogram: NativeHistogram) {
        let shard = self.shard(slot);
        let batch = &mut self.shards[shard].filling;
        batch.samples.push(HeadSample { slot, is_histogram: true, at, value: batch.histograms.len() as u64 });
        batch.histograms.push(Arc::new(histogram));
        if batch.samples.len() >= BATCH_SAMPLES || batch.histograms.len() >= BATCH_HISTOGRAMS {
            self.send(shard);
        }
    }

    /// Waits until everything is in the head.
    pub(super) fn settle(&mut self) {
        (0..self.shards.len()).for_each(|shard| self.send(shard));
        for lane in self.shards.iter_mut().filter_map(|shard| shard.lane.as_mut()) {
            for _ in 0..lane.made {
                // Dropping them is fine: new ones are made.
                lane.back.recv().expect(WORKER);
            }
            lane.made = 0;
        }
    }

    /// Waits until everything is in the head, ends the workers, and says what they did.
    pub(super) fn finish(mut self) -> Appended {
        (0..self.shards.len()).for_each(|shard| self.send(shard));
        self.shards.clear();
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(appended) => self.appended.add(&appended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        self.appended
    }

    #[inline]
    fn shard(&self, slot: u32) -> usize {
        match self.shards.len() {
            1 => 0,
            shards => place(slot).0 % shards,
        }
    }

    fn send(&mut self, shard: usize) {
        let Shard { filling, lane } = &mut self.shards[shard];
        let Some(lane) = lane else {
            self.appended.add(&filling.apply(self.head));
            return;
        };
        let next = match lane.made < LANE_BATCHES {
            true => {
                lane.made += 1;
                Batch::default()
            }
            false => lane.back.recv().expect(WORKER),
        };
        lane.forth.send(std::mem::replace(filling, next)).expect(WORKER);
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
    Some((worker, Lane { forth, back, made: 0 }))
}

impl Batch {
    /// Puts the samples into the head, and is empty.
    fn apply(&mut self, head: &Head) -> Appended {
        let appended = head.append(&self.samples, &self.histograms);
        self.samples.clear();
        self.histograms.clear();
        appended
    }
}

const WORKER: &str = "a worker ends after its sink, unless it panics, which is told";

/// About 200 kB.
const BATCH_SAMPLES: usize = 8 << 10;

/// They are larger.
const BATCH_HISTOGRAMS: usize = 512;

/// On the way to a worker, there, or on the way back.
const LANE_BATCHES: usize = 4;
