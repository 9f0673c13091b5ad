//! Memory that connections lend one another.
//!
//! A connection holds buffers from the first byte of a request to its last and none while it rests, so ten thousand that
//! rest are cheap, and the few requests under way write where the ones before them wrote: the usual path asks the
//! allocator for nothing. What rests here is bounded in number and in bytes; what is over goes back to the allocator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::answer_head::AnswerHead;
use crate::request_head::RequestHead;

/// What can be lent.
pub(crate) trait Buffers: Default {
    /// Bytes of memory behind it.
    fn bytes(&self) -> usize;
    /// Forgets the contents and keeps the room.
    fn clear(&mut self);
}

/// What a request takes on its way in.
#[derive(Default)]
pub(crate) struct Inbound {
    pub(crate) received: Vec<u8>,
    pub(crate) request: RequestHead,
}

/// What a request takes on its way through.
#[derive(Default)]
pub(crate) struct Working {
    pub(crate) outgoing: Vec<u8>,
    pub(crate) incoming: Vec<u8>,
    pub(crate) piece: Vec<u8>,
    pub(crate) answer: AnswerHead,
}

impl Buffers for Inbound {
    fn bytes(&self) -> usize {
        self.received.capacity()
    }

    fn clear(&mut self) {
        self.received.clear();
    }
}

impl Buffers for Working {
    fn bytes(&self) -> usize {
        self.outgoing.capacity() + self.incoming.capacity() + self.piece.capacity()
    }

    fn clear(&mut self) {
        for buffer in [&mut self.outgoing, &mut self.incoming, &mut self.piece] {
            buffer.clear();
        }
    }
}

/// Buffers that nobody uses now. The ones used last are lent next: they are still in the processor's cache.
#[derive(Default)]
pub(crate) struct Pool<B>(Mutex<Vec<B>>);

impl<B: Buffers> Pool<B> {
    /// Empty buffers, with room if there are any that rest.
    pub(crate) fn lend(&self) -> B {
        self.resting().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut buffers: B) {
        if !(1..=BYTES_MAX).contains(&buffers.bytes()) {
            return;
        }
        buffers.clear();
        let mut resting = self.resting();
        if resting.len() < RESTING_MAX {
            resting.push(buffers);
        }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Buffers kept for later requests; as many requests as this at once are usual.
const RESTING_MAX: usize = 16;
/// Buffers that an unusual request made larger than this are not kept.
const BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound(bytes: usize) -> Inbound {
        Inbound { received: vec![b'x'; bytes], request: RequestHead::default() }
    }

    #[test]
    fn what_was_given_back_last_is_lent_first_and_is_empty() {
        let pool = Pool::default();
        pool.give_back(inbound(100));
        pool.give_back(inbound(200));
        for room in [200, 100, 0] {
            let lent: Inbound = pool.lend();
            assert_eq!((lent.received.len(), lent.received.capacity()), (0, room));
        }
    }

    #[test]
    fn what_rests_is_bounded() {
        let pool = Pool::default();
        pool.give_back(inbound(BYTES_MAX + 1));
        assert_eq!(pool.resting().len(), 0, "too large");
        pool.give_back(inbound(0));
        assert_eq!(pool.resting().len(), 0, "without room, and so of no use");
        for _ in 0..RESTING_MAX + 1 {
            pool.give_back(inbound(1));
        }
        assert_eq!(pool.resting().len(), RESTING_MAX);
    }
}
