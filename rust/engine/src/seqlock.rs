//! One cache entry, a key and its value, under a sequence lock. All fields are atomics.
//!
//! A reader that meets a writer reports a miss, and a writer that meets another gives up: no thread ever waits, and a
//! fork in the middle of a write loses one entry.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The value of an entry: `REST` integers, and 24 bits that share a word with the lock.
pub(crate) type Value<const REST: usize> = ([u64; REST], u32);

/// A key of `KEY` integers, and a value of `REST` integers and 24 bits.
#[derive(Debug)]
pub(crate) struct SeqLock<const KEY: usize, const REST: usize> {
    key: [AtomicU64; KEY],
    rest: [AtomicU64; REST],
    /// Bits 0 to 39: the version, two more for each write, odd while one is under way. Bits 40 to 63: the value's bits.
    state: AtomicU64,
}

const BUSY: u64 = 1;
const VERSION_BITS: u32 = 40;
const VERSION: u64 = (1 << VERSION_BITS) - 1;

impl<const KEY: usize, const REST: usize> SeqLock<KEY, REST> {
    /// The key and the value, all zeros before the first write. `None` while it is being written.
    pub(crate) fn read(&self) -> Option<([u64; KEY], Value<REST>)> {
        let key = std::array::from_fn(|i| self.key[i].load(Ordering::Relaxed));
        Some((key, self.get(&key)?)) // which looks at the key again
    }

    /// The value, if the entry has this key.
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

    /// Replaces key and value, or does nothing while another thread does.
    pub(crate) fn put(&self, key: &[u64; KEY], (rest, bits): Value<REST>) {
        let state = self.state.load(Ordering::Relaxed);
        let claim = self.state.compare_exchange(state, state | BUSY, Ordering::Acquire, Ordering::Relaxed);
        if state & BUSY != 0 || claim.is_err() {
            return;
        }
        fence(Ordering::Release);
        self.key.iter().zip(key).for_each(|(slot, word)| slot.store(*word, Ordering::Relaxed));
        self.rest.iter().zip(rest).for_each(|(slot, word)| slot.store(word, Ordering::Relaxed));
        let version = (state + 2) & VERSION;
        self.state.store(u64::from(bits) << VERSION_BITS | version, Ordering::Release);
    }

    /// Twice the number of writes so far.
    pub(crate) fn version(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & VERSION
    }
}
