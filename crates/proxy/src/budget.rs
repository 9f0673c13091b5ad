//! A bounded amount of memory that requests under way share.
//!
//! Requests wait for their share in the order in which they came: a burst is served more slowly and in the same memory,
//! instead of refused or in more. What is waited for is given back by whoever ends; nobody waits while he holds a share.

use tokio::sync::{Semaphore, SemaphorePermit};

/// So many bytes, counted in [`UNIT_BYTES`].
pub(crate) struct Budget {
    units: Semaphore,
    units_max: u32,
}

/// A part of a budget; gives itself back.
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    units: SemaphorePermit<'a>,
    /// Bytes charged; the units cover them, and perhaps more.
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units_max = units(bytes).min(Semaphore::MAX_PERMITS as u64) as u32;
        Self { units: Semaphore::new(units_max as usize), units_max }
    }

    /// The whole of it.
    pub(crate) fn bytes_max(&self) -> usize {
        self.units_max as usize * UNIT_BYTES
    }

    /// Whether `bytes` will ever be free at once.
    pub(crate) fn covers(&self, bytes: usize) -> bool {
        units(bytes) <= u64::from(self.units_max)
    }

    /// A share of no bytes that is sure to grow to `bytes`, once they are free. Of more than there is, the whole budget.
    pub(crate) async fn set_aside(&self, bytes: usize) -> Share<'_> {
        let wanted = units(bytes).min(u64::from(self.units_max)) as u32;
        let permit = self.units.acquire_many(wanted).await.expect("the semaphore is never closed");
        Share { budget: self, units: permit, bytes: 0 }
    }

    /// The same, if they are free now and nobody waits for them.
    pub(crate) fn try_set_aside(&self, bytes: usize) -> Option<Share<'_>> {
        let wanted = u32::try_from(units(bytes)).ok()?;
        let permit = self.units.try_acquire_many(wanted).ok()?;
        Some(Share { budget: self, units: permit, bytes: 0 })
    }
}

impl Share<'_> {
    /// Charges `bytes` more; `false`, and nothing is charged, if they are neither set aside nor free.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let held = self.units.num_permits() as u64;
        let missing = units(self.bytes + bytes).saturating_sub(held);
        if missing > 0 {
            let Ok(missing) = u32::try_from(missing) else { return false };
            let Ok(more) = self.budget.units.try_acquire_many(missing) else { return false };
            self.units.merge(more);
        }
        self.bytes += bytes;
        true
    }
}

fn units(bytes: usize) -> u64 {
    bytes.div_ceil(UNIT_BYTES) as u64
}

/// Small beside a request, and large enough for a semaphore to count gibibytes.
const UNIT_BYTES: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_grow_within_the_budget_and_give_themselves_back() {
        let budget = Budget::new(4 << 10);
        assert!(budget.covers(4096) && !budget.covers(4097));
        let mut share = budget.set_aside(1024).await;
        for (bytes, grows, left) in [
            (1, true, 3),
            (1000, true, 3),
            (23, true, 3),
            (1, true, 2),
            (3100, false, 2),
            (2048, true, 0),
            (0, true, 0),
        ] {
            assert_eq!((share.grow(bytes), budget.units.available_permits()), (grows, left), "{bytes}");
        }
        assert!(budget.try_set_aside(1).is_none());
        drop(share);
        assert!(budget.try_set_aside(4097).is_none());
        assert!(budget.try_set_aside(4096).is_some_and(|mut share| share.grow(4096) && !share.grow(1)));
        assert_eq!(budget.units.available_permits(), 4);
    }

    #[tokio::test]
    async fn who_came_first_is_served_first_and_nobody_overtakes() {
        let budget = Budget::new(4 << 10);
        let mut held = budget.set_aside(2 << 10).await;
        let mut large = std::pin::pin!(budget.set_aside(4 << 10));
        assert!(poll_once(large.as_mut()).is_none());
        assert!(budget.try_set_aside(1).is_none(), "what is left is waited for");
        assert!(held.grow(2 << 10), "what was set aside is not");
        assert!(!held.grow(1));
        drop(held);
        assert!(poll_once(large.as_mut()).is_some());
    }

    #[tokio::test]
    async fn more_than_the_whole_takes_the_whole() {
        let budget = Budget::new(4 << 10);
        let share = budget.set_aside(1 << 30).await;
        assert_eq!(budget.units.available_permits(), 0);
        drop(share);
        assert_eq!(budget.units.available_permits(), 4);
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
