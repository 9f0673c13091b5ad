//! What a proxy has when write requests are kept in a queue and delivered from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use delivery::{Delivery, Policy, Target};
use environment::Rng;
use parking_lot::Mutex;
use spool::{Spool, WhenFull};

use crate::forward::Destination;
use crate::remote_write_2::{Gate, RemoteWrite2};
use crate::target::{HttpTarget, TargetParts};

mod survey;

pub(crate) use survey::Surveyor;

/// The queue of a proxy.
pub struct QueueParts {
    /// Where requests are kept. Somebody has to close it after the proxy and the delivery have ended.
    pub spool: Spool,
    /// What it stands on.
    pub medium: Medium,
    /// Jitter of delivery.
    pub rng: Arc<dyn Rng>,
    /// What may change while it runs.
    pub settings: QueueSettings,
}

/// What a queue stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// Files: survives the death of the process.
    Disk,
    /// Memory: is lost with the process.
    Memory,
}

impl Medium {
    /// The word of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }

    /// Whether what was answered 204 is there after a crash.
    pub const fn survives_crash(self) -> bool {
        matches!(self, Self::Disk)
    }
}

/// Settings of a queue that may change while it runs; those of the spool itself are [`Spool::set_bounds`]' affair.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// Bounds and patience of delivery. That of [`RemoteWrite2::Transcode`] is set beside it.
    pub policy: Policy,
    /// What is done with requests of version 2.0.
    pub remote_write_2: RemoteWrite2,
    /// Whether `/ready` also tells that the queue refuses requests.
    pub ready_strict: bool,
}

/// A queue at work.
pub(crate) struct Queue {
    pub(crate) spool: Spool,
    pub(crate) medium: Medium,
    pub(crate) delivery: Delivery,
    pub(crate) gate: Gate,
    pub(crate) surveyor: Mutex<Surveyor>,
    /// The one that delivery sends to.
    target: ArcSwap<HttpTarget>,
    target_parts: Arc<TargetParts>,
    ready_strict: AtomicBool,
    /// How it was when a request found no room last; none once another one did.
    full: Mutex<Option<Full>>,
}

/// A queue without room.
struct Full {
    /// Bytes that it took then.
    bytes: u64,
    /// The bound then.
    bytes_max: u64,
}

impl Queue {
    pub(crate) fn new(parts: QueueParts, destination: &Destination, target_parts: TargetParts) -> Self {
        let target_parts = Arc::new(target_parts);
        let target = Arc::new(HttpTarget::new(Arc::clone(&destination.upstream), Arc::clone(&target_parts)));
        let QueueSettings { policy, remote_write_2, ready_strict } = parts.settings;
        let delivery = Delivery::new(delivery::Parts {
            spool: parts.spool.clone(),
            target: Arc::clone(&target) as Arc<dyn Target>,
            tokens: Arc::clone(&destination.tokens),
            clock: Arc::clone(&target_parts.clock),
            rng: parts.rng,
            policy: policy_for(policy, remote_write_2),
        });
        Self {
            spool: parts.spool,
            medium: parts.medium,
            delivery,
            gate: Gate::new(remote_write_2),
            surveyor: Mutex::default(),
            target: ArcSwap::new(target),
            target_parts,
            ready_strict: AtomicBool::new(ready_strict),
            full: Mutex::new(None),
        }
    }

    pub(crate) fn target(&self) -> Arc<HttpTarget> {
        self.target.load_full()
    }

    pub(crate) fn ready_strict(&self) -> bool {
        self.ready_strict.load(Ordering::Relaxed)
    }

    /// Delivers to another target from now on; what is known of the old one's abilities does not hold for it.
    pub(crate) fn set_destination(&self, destination: &Destination) {
        let target = Arc::new(HttpTarget::new(Arc::clone(&destination.upstream), Arc::clone(&self.target_parts)));
        self.target.store(Arc::clone(&target));
        self.gate.forget();
        self.delivery.set_target(target, Arc::clone(&destination.tokens));
    }

    pub(crate) fn set(&self, settings: QueueSettings) {
        let QueueSettings { policy, remote_write_2, ready_strict } = settings;
        self.gate.set(remote_write_2);
        self.delivery.set_policy(policy_for(policy, remote_write_2));
        self.ready_strict.store(ready_strict, Ordering::Relaxed);
    }

    /// A request found no room.
    pub(crate) fn note_full(&self) {
        let full = Full { bytes: self.spool.stats().bytes, bytes_max: self.spool.settings().bytes_max };
        *self.full.lock() = Some(full);
    }

    /// A request found room.
    pub(crate) fn note_room(&self) {
        *self.full.lock() = None;
    }

    /// Whether it takes requests, as far as is known without trying: not after one found no room, until bytes were given
    /// back or the bound was raised; not while the disk fails.
    pub(crate) fn is_writable(&self) -> bool {
        let (stats, settings) = (self.spool.stats(), self.spool.settings());
        let has_room = match &*self.full.lock() {
            Some(full) => stats.bytes < full.bytes || settings.bytes_max > full.bytes_max,
            None => true,
        };
        stats.disk_error.is_none() && (has_room || settings.when_full != WhenFull::PushBack)
    }
}

fn policy_for(policy: Policy, remote_write_2: RemoteWrite2) -> Policy {
    Policy { transcode: policy.transcode || remote_write_2 == RemoteWrite2::Transcode, ..policy }
}
