//! An entry of a cache: a key, what it stands for, and a sequence lock, all of them atomics.
//!
//! A reader that meets a writer sees a miss, and a writer that meets another gives up. So no thread ever waits, and a fork
//! in the middle of a write costs one entry.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// What an entry has for its key: integers, and 24 bits.
pub(crate) type Value<const REST: usize> = ([u64; REST], u32);

/// `KEY` integers of a key, `REST` of a value, and 24 bits of the value beside the lock.
#[derive(Debug)]
pub(crate) struct Entry<const KEY: usize, const REST: usize> {
    key: [AtomicU64; KEY],
    rest: [AtomicU64; REST],
    /// Bits 0 to 39: how often the entry was written, odd while it is being written. Then the value's bits.
    state: AtomicU64,
}

const BUSY: u64 = 1;
const VERSION_BITS: u32 = 40;
const VERSION: u64 = (1 << VERSION_BITS) - 1;

impl<const KEY: usize, const REST: usize> Entry<KEY, REST> {
    /// Its key and value, which are zeros when it never had any.
    pub(crate) fn read(&self) -> Option<([u64; KEY], Value<REST>)> {
        let key = std::array::from_fn(|i| self.key[i].load(Ordering::Relaxed));
        Some((key, self.get(&key)?)) // which looks at the key again
    }

    /// What it has for this key.
    #[inline(always)]
    pub(crate) fn get(&self, key: &[u64; KEY]) -> Option<Value<REST>> {
        let state = self.state.load(Ordering::Acquire);
        if self.key.iter().zip(key).any(|(found, wanted)| found.load(Ordering::Relaxed) != *wanted) {
            return None;
        }
        let rest = std::array::from_fn(|i| self.rest[i].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if self.state.load(Ordering::Relaxed) != state || state & BUSY != 0 {
            return None;
        }
        Some((rest, (state >> VERSION_BITS) as u32))
    }

    /// Takes a new key and value, unless another thread is giving it one.
    pub(crate) fn put(&self, key: &[u64; KEY], (rest, bits): Value<REST>) {
        let state = self.state.load(Ordering::Relaxed);
        let claim = self.state.compare_exchange(state, state | BUSY, Ordering::Acquire, Ordering::Relaxed);
        if state & BUSY != 0 || claim.is_err() {
            return;
        }
        fence(Ordering::Release);
        self.key.iter().zip(key).for_each(|(place, word)| place.store(*word, Ordering::Relaxed));
        self.rest.iter().zip(rest).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
        let version = (state + 2) & VERSION;
        self.state.store(u64::from(bits) << VERSION_BITS | version, Ordering::Release);
    }

    /// How often it was written, twice over.
    pub(crate) fn writes(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & VERSION
    }
}
