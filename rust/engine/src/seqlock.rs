//! One cache entry, a key and its value, under a sequence lock. All fields are atomics.
//!
//! A reader that meets a writer reports a miss, and a writer that meets another gives up: no thread ever waits, and a
//! fork in the middle of a write loses one entry.
//!
//! A writer first makes the key invalid, then changes the version, then the rest, and the first word of the key last. So
//! a reader that finds its key and the same version before and after it has read the rest has read what belongs together,
//! even while a writer is at work: with the key of before, it would have seen another version afterwards; with the key of
//! after, all of the rest was written already.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
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
        if self.key.iter().zip(key).any(|(found, wanted)| found.load(Ordering::Acquire) != *wanted) {
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
        let claim = || self.state.compare_exchange(state, state | BUSY, Ordering::Acquire, Ordering::Relaxed);
        if state & BUSY != 0 || claim().is_err() {
            return;
        }
        self.key[0].store(INVALID, Ordering::Relaxed);
        fence(Ordering::Release);
        let new = (state & !(VERSION_STEP - 1)).wrapping_add(VERSION_STEP) + u64::from(bits);
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

/// An entry that was never written.
#[cfg(test)]
fn empty<const KEY: usize, const REST: usize>() -> SeqLock<KEY, REST> {
    let zeros = |_| AtomicU64::new(0);
    SeqLock { key: std::array::from_fn(zeros), rest: std::array::from_fn(zeros), state: AtomicU64::new(0) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn versions_count_the_writes() {
        let entry = empty::<2, 1>();
        assert_eq!((entry.version(), entry.read(), entry.get(&[1, 2])), (0, None, None));
        for n in 1..300 {
            let (key, value) = ([n, n * 2], ([n * 3], (n as u32 * 0xABCD) & 0xFF_FFFF));
            entry.put(&key, value);
            assert_eq!((entry.version(), entry.get(&key), entry.read()), (n, Some(value), Some((key, value))));
            assert_eq!([entry.get(&[n, n]), entry.get(&[n + 1, n * 2])], [None, None]);
        }
        // While a writer is at work, another gives up.
        entry.state.fetch_or(BUSY, Ordering::Relaxed);
        entry.put(&[7, 7], ([7], 7));
        assert_eq!((entry.version(), entry.get(&[7, 7])), (299, None));
    }

    /// Two writers and two readers of one entry: what is read always belongs to its key.
    #[test]
    fn values_belong_to_their_keys() {
        let entry = empty::<2, 2>();
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

/// All orders in which threads may meet at one entry, up to some preemptions, with all that weak memory allows each load to
/// see: `make loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    fn write(entry: &SeqLock<2, 1>, n: u64) {
        entry.put(&[n, n + 1], ([n * 3], n as u32 * 7));
    }

    fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(model);
    }

    /// What is read belongs to its key, and in a key both words to each other.
    fn look(entry: &SeqLock<2, 1>) {
        for n in 1..4 {
            let found = entry.get(&[n, n + 1]);
            assert!(found.is_none_or(|value| value == ([n * 3], n as u32 * 7)), "{n}: {found:?}");
        }
        if let Some(([first, second], value)) = entry.read() {
            assert_eq!((second, value), (first + 1, ([first * 3], first as u32 * 7)));
        }
    }

    #[test]
    fn a_reader_meets_a_writer() {
        check(3, || {
            let entry = Arc::new(empty());
            write(&entry, 1);
            let writer = thread::spawn({
                let entry = Arc::clone(&entry);
                move || write(&entry, 2)
            });
            look(&entry);
            writer.join().unwrap();
            assert_eq!(entry.get(&[2, 3]), Some(([6], 14)));
        });
    }

    #[test]
    fn a_reader_meets_two_writes_in_a_row() {
        check(2, || {
            let entry = Arc::new(empty());
            let writer = thread::spawn({
                let entry = Arc::clone(&entry);
                move || (1..3).for_each(|n| write(&entry, n))
            });
            look(&entry);
            writer.join().unwrap();
        });
    }

    /// One of the two gives up, or both write, one after the other.
    #[test]
    fn writers_meet() {
        check(2, || {
            let entry = Arc::new(empty());
            let writers = [1, 2].map(|n| {
                let entry = Arc::clone(&entry);
                thread::spawn(move || write(&entry, n))
            });
            look(&entry);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            look(&entry);
            assert!(entry.read().is_some());
        });
    }
}
