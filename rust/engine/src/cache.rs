//! The cache of merged words, shared by all threads without a lock.
//!
//! A fixed table of two-way sets, one cache line each: a word of up to 15 bytes is its own key, and up to five ids
//! stand beside it. It never grows; a new word takes the place of an old one. An entry is a sequence lock made of
//! atomics: a reader that meets a writer sees a miss and merges the word itself, and a writer that meets another
//! gives up. So no thread ever waits, and a fork in the middle of a write costs one slot.

use crate::sink::Id;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Longest word that is cached, in bytes: the sixteenth byte of the key holds the length.
const LONGEST: usize = 15;
/// Most ids of a cached word.
const MOST_IDS: usize = 5;
const SETS: usize = 1 << 15; // 2 MiB, of which only pages in use cost memory

/// The bits of a key that words of each length use.
static WORD_MASKS: [[u64; 2]; LONGEST + 1] = {
    let mut masks = [[0; 2]; LONGEST + 1];
    let mut length = 1;
    while length <= LONGEST {
        let mask = u128::MAX >> (128 - 8 * length);
        masks[length] = [mask as u64, (mask >> 64) as u64];
        length += 1;
    }
    masks
};

/// A word of up to 15 bytes as two integers: the bytes, zeros, and the length. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// `None` for a longer word.
    pub(crate) fn new(word: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        bytes.get_mut(..word.len())?.copy_from_slice(word);
        Self::within(&bytes, 0, word.len())
    }

    /// The key of the word at `text[start..end]`, of which at least sixteen bytes from `start` can be read.
    #[inline(always)]
    pub(crate) fn within(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end.wrapping_sub(start);
        let [low, high] = *WORD_MASKS.get(length)?;
        let bytes = text.get(start..)?.first_chunk::<16>()?;
        let key = u128::from_le_bytes(*bytes);
        Some(Self { low: key as u64 & low, high: (key >> 64) as u64 & high | (length as u64) << 56 })
    }

    /// The set's number: the high bits of a product (Fibonacci hashing). Words that fall together only share a set.
    #[inline(always)]
    fn set(self) -> usize {
        let mixed = (self.low ^ self.high.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> (64 - SETS.trailing_zeros())) as usize
    }
}

/// Up to five ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The first four, the first lowest.
    packed: u64,
    fifth: u16,
    count: u8,
}

impl Ids {
    /// `None` when there are too many.
    pub(crate) fn new(ids: &[u16]) -> Option<Self> {
        if ids.len() > MOST_IDS {
            return None;
        }
        let packed = ids.iter().take(4).rev().fold(0, |packed, &id| packed << 16 | u64::from(id));
        Some(Self { packed, fifth: ids.get(4).copied().unwrap_or(0), count: ids.len() as u8 })
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.count.into()
    }

    /// The first four, whatever stands in those beyond the count.
    #[inline(always)]
    pub(crate) fn first_four<T: Id>(self) -> [T; 4] {
        // Taken apart as bytes, four 16-bit lanes, which compilers widen with one instruction where there is one.
        let bytes = self.packed.to_le_bytes();
        [0, 2, 4, 6].map(|i| T::from_id(u16::from_le_bytes([bytes[i], bytes[i + 1]]).into()))
    }

    #[inline]
    pub(crate) fn fifth(self) -> u32 {
        self.fifth.into()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u32> {
        let [a, b, c, d] = self.first_four::<i64>().map(|id| id as u32);
        [a, b, c, d, self.fifth()].into_iter().take(self.len())
    }
}

#[derive(Debug, Default)]
struct Entry {
    low: AtomicU64,
    high: AtomicU64,
    packed: AtomicU64,
    /// Bits 0 to 39: how often the entry was written, odd while it is being written. Then five, the count and the fifth id.
    state: AtomicU64,
}

const BUSY: u64 = 1;
const VERSION: u64 = (1 << 40) - 1;

impl Entry {
    #[inline(always)]
    fn get(&self, key: Key) -> Option<Ids> {
        let state = self.state.load(Ordering::Acquire);
        let differs = self.low.load(Ordering::Relaxed) ^ key.low | self.high.load(Ordering::Relaxed) ^ key.high;
        let packed = self.packed.load(Ordering::Relaxed);
        if differs != 0 {
            return None;
        }
        fence(Ordering::Acquire);
        let unchanged = self.state.load(Ordering::Relaxed) == state && state & BUSY == 0;
        unchanged.then_some(Ids { packed, fifth: (state >> 48) as u16, count: (state >> 40) as u8 })
    }

    fn put(&self, key: Key, ids: Ids) {
        let state = self.state.load(Ordering::Relaxed);
        let claim = self.state.compare_exchange(state, state | BUSY, Ordering::Acquire, Ordering::Relaxed);
        if state & BUSY != 0 || claim.is_err() {
            return;
        }
        fence(Ordering::Release);
        self.low.store(key.low, Ordering::Relaxed);
        self.high.store(key.high, Ordering::Relaxed);
        self.packed.store(ids.packed, Ordering::Relaxed);
        let version = (state + 2) & VERSION;
        let state = u64::from(ids.fifth) << 48 | u64::from(ids.count) << 40 | version;
        self.state.store(state, Ordering::Release);
    }
}

/// Two words that share a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([Entry; 2]);

#[derive(Debug)]
pub(crate) struct Cache {
    sets: Box<[Set; SETS]>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        let sets: Box<[Set]> = std::iter::repeat_with(Set::default).take(SETS).collect();
        Self { sets: sets.try_into().expect("as many as were taken") }
    }

    #[inline(always)]
    pub(crate) fn get(&self, key: Key) -> Option<Ids> {
        let [first, second] = &self.sets[key.set()].0;
        first.get(key).or_else(|| second.get(key))
    }

    /// Into the entry written less often: a flood of new words wears out one entry of a set before the other.
    pub(crate) fn put(&self, key: Key, ids: Ids) {
        let [first, second] = &self.sets[key.set()].0;
        let writes = |entry: &Entry| entry.state.load(Ordering::Relaxed) & VERSION;
        if writes(first) <= writes(second) { first.put(key, ids) } else { second.put(key, ids) }
    }
}
