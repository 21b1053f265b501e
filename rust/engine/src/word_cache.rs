//! The merge cache: short words and their ids, shared by all threads without a lock.
//!
//! A fixed table with two hash functions, as in cuckoo hashing. A key is a word of up to 15 bytes itself; its value is
//! up to five ids. Each hash selects a bucket of two slots, which share a cache line. The hot loop looks in the primary
//! bucket only; the secondary one is tried before a word is merged. Inserting a word evicts the older entry of its
//! primary bucket to that entry's secondary bucket. So the table never grows, new words are found at once, and old words
//! that are still in use survive a flood of new ones.

use crate::seqlock::SeqLock;
use crate::slot_array::{self, SlotArray};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a key, all of which are read at the start of a word however short it is.
pub(crate) const KEY_BYTES: usize = 16;
/// The longest word that is cached: the last byte of the key holds the length.
const MAX_WORD_BYTES: usize = KEY_BYTES - 1;
/// The most ids of a cached word.
pub(crate) const MAX_IDS: usize = 5;
const SLOTS: usize = 1 << 17; // of 32 bytes: 4 MiB

/// For each word length: the masks of the word's bytes in the two halves of the key, and the length, shifted to the
/// key's last byte.
static KEY_PARTS: [[u64; 3]; MAX_WORD_BYTES + 1] = {
    let mut parts = [[0; 3]; MAX_WORD_BYTES + 1];
    let mut length = 1;
    while length <= MAX_WORD_BYTES {
        let mask = u128::MAX >> (128 - 8 * length);
        parts[length] = [mask as u64, (mask >> 64) as u64, (length as u64) << 56];
        length += 1;
    }
    parts
};

/// A word of up to 15 bytes as two little-endian integers: its bytes, zeros, and its length in the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// `None` for a longer word.
    pub(crate) fn new(word: &[u8]) -> Option<Self> {
        let mut bytes = [0; KEY_BYTES];
        bytes.get_mut(..word.len())?.copy_from_slice(word);
        Self::within(&bytes, 0, word.len())
    }

    /// The key of the word `text[start..end]`. `None` for a longer word, and where fewer than [`KEY_BYTES`] follow
    /// `start`.
    #[inline(always)]
    pub(crate) fn within(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let [low, high, length] = *KEY_PARTS.get(end.wrapping_sub(start))?;
        let bytes = text.get(start..)?.first_chunk::<KEY_BYTES>()?;
        let key = u128::from_le_bytes(*bytes);
        Some(Self { low: key as u64 & low, high: (key >> 64) as u64 & high | length })
    }

    /// Both halves in one, for hashing.
    #[inline(always)]
    fn mixed(self) -> u64 {
        self.low ^ self.high.rotate_left(29)
    }

    /// The preferred slot of the primary bucket, by Fibonacci hashing: the high bits of a product. The bucket's other
    /// slot has this number with the lowest bit flipped.
    #[inline(always)]
    fn primary(self) -> u32 {
        (self.mixed().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as u32
    }

    /// A slot of the secondary bucket.
    fn secondary(self) -> u32 {
        (self.mixed().wrapping_mul(0xC2B2_AE3D_27D4_EB4F) >> (64 - SLOTS.trailing_zeros())) as u32
    }
}

/// Up to five ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The first four, the first in the lowest bits.
    packed: u64,
    fifth: u16,
    count: u8,
}

impl Ids {
    /// `None` when there are too many.
    pub(crate) fn new(ids: &[u16]) -> Option<Self> {
        if ids.len() > MAX_IDS {
            return None;
        }
        let packed = ids.iter().take(4).rev().fold(0, |packed, &id| packed << 16 | u64::from(id));
        Some(Self { packed, fifth: ids.get(4).copied().unwrap_or(0), count: ids.len() as u8 })
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.count.into()
    }

    /// All five, of which only the first [`Ids::len`] mean anything.
    #[inline(always)]
    pub(crate) fn all(self) -> [u16; MAX_IDS] {
        // By way of bytes, since the compiler turns this into a single store.
        let bytes = self.packed.to_le_bytes();
        let id = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        [id(0), id(2), id(4), id(6), self.fifth]
    }
}

/// Half a cache line.
#[derive(Debug)]
#[repr(align(32))]
struct Slot(SeqLock<2, 1>);

// SAFETY: it is made of atomic integers, and aligned to 32 bytes.
#[allow(unsafe_code)]
unsafe impl slot_array::Slot for Slot {}

impl Slot {
    #[inline(always)]
    fn get(&self, key: Key) -> Option<Ids> {
        let ([packed], bits) = self.0.get(&[key.low, key.high])?;
        Some(Ids { packed, fifth: bits as u16, count: (bits >> 16) as u8 })
    }

    /// The entry, if there is one and nobody is writing it.
    fn read(&self) -> Option<(Key, Ids)> {
        let ([low, high], ([packed], bits)) = self.0.read()?;
        let ids = Ids { packed, fifth: bits as u16, count: (bits >> 16) as u8 };
        (high != 0).then_some((Key { low, high }, ids))
    }

    fn put(&self, key: Key, ids: Ids) {
        self.0.put(&[key.low, key.high], ([ids.packed], u32::from(ids.count) << 16 | u32::from(ids.fifth)));
    }
}

#[derive(Debug)]
pub(crate) struct WordCache {
    slots: SlotArray<Slot, SLOTS>,
    /// How often a word was found in its secondary bucket; approximate, since threads overwrite each other's count.
    secondary_hits: AtomicU32,
}

impl WordCache {
    pub(crate) fn new() -> Self {
        Self { slots: SlotArray::new(), secondary_hits: AtomicU32::new(0) }
    }

    #[inline(always)]
    fn slot(&self, number: u32) -> &Slot {
        &self.slots[number as usize]
    }

    /// Looks in the primary bucket.
    #[inline(always)]
    pub(crate) fn get(&self, key: Key) -> Option<Ids> {
        let primary = key.primary();
        // A branch, since it is predictable: nearly all words are in their preferred slot.
        self.slot(primary).get(key).or_else(|| self.slot(primary ^ 1).get(key))
    }

    /// Looks in both buckets. One in 16 hits in a secondary bucket moves the word back to its primary one; if each did,
    /// words in use would keep evicting each other.
    pub(crate) fn get_anywhere(&self, key: Key) -> Option<Ids> {
        const PROMOTE_EVERY: u32 = 16;
        self.get(key).or_else(|| {
            let ids = self.bucket(key.secondary()).into_iter().find_map(|slot| slot.get(key))?;
            let found = self.secondary_hits.load(Ordering::Relaxed).wrapping_add(1);
            self.secondary_hits.store(found, Ordering::Relaxed);
            if found.is_multiple_of(PROMOTE_EVERY) {
                self.put(key, ids);
            }
            Some(ids)
        })
    }

    /// Inserts into the slot of the primary bucket that was written less often, and moves the evicted entry to its own
    /// secondary bucket.
    pub(crate) fn put(&self, key: Key, ids: Ids) {
        let slot = self.bucket(key.primary()).into_iter().min_by_key(|slot| slot.0.version());
        let Some(slot) = slot else { return };
        if let Some((old, old_ids)) = slot.read()
            && old.primary() >> 1 == key.primary() >> 1
            && let Some(other) = self.bucket(old.secondary()).into_iter().min_by_key(|slot| slot.0.version())
        {
            other.put(old, old_ids);
        }
        slot.put(key, ids);
    }

    fn bucket(&self, number: u32) -> [&Slot; 2] {
        [self.slot(number), self.slot(number ^ 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_use_outlive_a_flood_of_others() {
        let cache = WordCache::new();
        let word = |n: usize| Key::new(n.to_string().as_bytes()).unwrap();
        let ids = |n: usize| Ids::new(&[n as u16, (n >> 16) as u16]).unwrap();
        (0..1000).for_each(|n| cache.put(word(n), ids(n)));
        let (mut known, mut asked) = (0, 0);
        for n in 1000..1_000_000 {
            cache.put(word(n), ids(n));
            if n % 50 == 0 {
                let old = n / 50 % 1000;
                let found = cache.get_anywhere(word(old));
                (known, asked) = (known + usize::from(found.is_some()), asked + 1);
                assert!(found.is_none_or(|found| found == ids(old)));
                cache.put(word(old), ids(old));
            }
        }
        assert!(known * 10 > asked * 6, "{known} of {asked}");
        // The newest are in their primary buckets.
        let primary = (990_000..1_000_000).filter(|&n| cache.get(word(n)) == Some(ids(n))).count();
        assert!(primary > 9_000, "{primary}");
    }
}
