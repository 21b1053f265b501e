//! One cache entry, a key and its value, under a sequence lock. All fields are atomics.
//!
//! A reader that meets a writer reports a miss, and a writer that meets another gives up: no thread ever waits, and a
//! fork in the middle of a write loses one entry.
//!
//! A writer first makes the key invalid, then changes the version, then the rest, and the first word of the key last. So
//! a reader that finds its key and the same version before and after it has read the rest has read what belongs together,
//! even while a writer is at work: with the key of before, it would have seen another version afterwards; with the key of
//! after, all of the rest was written already.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The value of an entry: `REST` integers, and 24 bits that share a word with the lock.
pub(crate) type Value<const REST: usize> = ([u64; REST], u32);

/// A key of `KEY` integers, of which the first is never zero, and a value of `REST` integers and 24 bits.
#[derive(Debug)]
pub(crate) struct SeqLock<const KEY: usize, const REST: usize> {
    key: [AtomicU64; KEY],
    rest: [AtomicU64; REST],
    /// Bits 0 to 23: the value's bits. Bit 24: whether a writer is at work. Bits 25 to 63: the number of writes so far.
    state: AtomicU64,
}

/// The first word of a key that no entry has.
const INVALID: u64 = 0;
const VALUE_BITS: u32 = 24;
const BUSY: u64 = 1 << VALUE_BITS;
const VERSION_STEP: u64 = BUSY << 1;

impl<const KEY: usize, const REST: usize> SeqLock<KEY, REST> {
    /// The key and the value. `None` before the first write and while one is under way.
    pub(crate) fn read(&self) -> Option<([u64; KEY], Value<REST>)> {
        let key = std::array::from_fn(|i| self.key[i].load(Ordering::Relaxed));
        if key[0] == INVALID {
            return None;
        }
        Some((key, self.get(&key)?)) // which checks that the key is still the same
    }

    /// The value, if the entry has this key.
    #[inline(always)]
    pub(crate) fn get(&self, key: &[u64; KEY]) -> Option<Value<REST>> {
        let state = self.state.load(Ordering::Acquire);
        // All differences in one, for a single branch.
        let differ = |(found, wanted): (&AtomicU64, &u64)| found.load(Ordering::Acquire) ^ *wanted;
        if self.key.iter().zip(key).map(differ).fold(0, std::ops::BitOr::bitor) != 0 {
            return None;
        }
        let rest = std::array::from_fn(|i| self.rest[i].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if self.state.load(Ordering::Relaxed) != state {
            return None;
        }
        Some((rest, state as u32 & (BUSY as u32 - 1)))
    }

    /// Replaces key and value, or does nothing while another thread does.
    pub(crate) fn put(&self, key: &[u64; KEY], (rest, bits): Value<REST>) {
        debug_assert!(key[0] != INVALID && u64::from(bits) < BUSY);
        let state = self.state.load(Ordering::Relaxed);
        let claim = self.state.compare_exchange(state, state | BUSY, Ordering::Acquire, Ordering::Relaxed);
        if state & BUSY != 0 || claim.is_err() {
            return;
        }
        self.key[0].store(INVALID, Ordering::Relaxed);
        fence(Ordering::Release);
        let new = (state & !(VERSION_STEP - 1)).wrapping_add(VERSION_STEP) | u64::from(bits);
        self.state.store(new | BUSY, Ordering::Relaxed);
        fence(Ordering::Release);
        self.key.iter().zip(key).skip(1).for_each(|(slot, word)| slot.store(*word, Ordering::Relaxed));
        self.rest.iter().zip(rest).for_each(|(slot, word)| slot.store(word, Ordering::Relaxed));
        self.key[0].store(key[0], Ordering::Release);
        self.state.store(new, Ordering::Release);
    }

    /// The number of writes so far.
    pub(crate) fn version(&self) -> u64 {
        self.state.load(Ordering::Relaxed) / VERSION_STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// Two writers and two readers of one entry: what is read always belongs to its key.
    #[test]
    fn values_belong_to_their_keys() {
        let zero = AtomicU64::default;
        let entry = SeqLock::<2, 2> { key: [zero(), zero()], rest: [zero(), zero()], state: zero() };
        let value = |n: u64| ([n * 3, n * 5], n as u32 * 7);
        let (done, found) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        for n in 1..5 {
                            if let Some(read) = entry.get(&[n, n + 1]) {
                                assert_eq!(read, value(n));
                                found.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
            let write = |n: u64| entry.put(&[n, n + 1], value(n));
            let other = scope.spawn(move || (0..100_000).for_each(|i| write(1 + i % 4)));
            (0..100_000).for_each(|i| write(1 + i / 3 % 4));
            other.join().unwrap();
            while found.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now(); // the last write stays
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
