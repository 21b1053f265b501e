//! The merge cache: short words and their ids, shared by all threads without a lock.
//!
//! A fixed table with two hash functions, as in cuckoo hashing. A key is a word of up to 15 bytes itself; its value is
//! up to five ids. Each hash selects a bucket of two slots, which share a cache line. The hot loop looks in the primary
//! bucket only; the secondary one is tried before a word is merged. Inserting a word evicts the older entry of its
//! primary bucket to that entry's secondary bucket. So the table never grows, new words are found at once, and old words
//! that are still in use survive a flood of new ones.

use crate::prefetch::prefetch;
use crate::seqlock::SeqLock;
use crate::slot_array::{self, SlotArray};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a key, all of which are read at the start of a word however short it is.
pub(crate) const KEY_BYTES: usize = 16;
/// The longest word that is cached: the last byte of its key is zero.
const MAX_WORD_BYTES: usize = KEY_BYTES - 1;
/// The most ids of a cached word.
pub(crate) const MAX_IDS: usize = 5;
const SLOTS: usize = 1 << 17; // of 32 bytes: 4 MiB

/// For each number of bytes: the masks of the first so many bytes in the two halves of a key.
static KEY_MASKS: [[u64; 2]; KEY_BYTES + 1] = {
    let mut masks = [[0; 2]; KEY_BYTES + 1];
    let mut length = 1;
    while length <= KEY_BYTES {
        let mask = u128::MAX >> (128 - 8 * length);
        masks[length] = [mask as u64, (mask >> 64) as u64];
        length += 1;
    }
    masks
};

/// A word of up to 15 bytes without NUL as two little-endian integers: its bytes, then zeros.
///
/// The last byte of a key in the cache is zero. One that was read at a longer word has another there and is never found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// `None` for a longer word, and for one with NUL.
    pub(crate) fn new(word: &[u8]) -> Option<Self> {
        let mut bytes = [0; KEY_BYTES];
        bytes[..MAX_WORD_BYTES].get_mut(..word.len())?.copy_from_slice(word);
        let [low, high] = [0, 8].map(|half| u64::from_le_bytes(std::array::from_fn(|i| bytes[half + i])));
        (!word.contains(&0)).then_some(Self { low, high })
    }

    /// The key of the word at `text[start]`, behind which there are zeros up to `limit`, where the next word may start.
    /// `None` where fewer than [`KEY_BYTES`] follow `start`.
    #[inline(always)]
    pub(crate) fn within(text: &[u8], start: usize, limit: usize) -> Option<Self> {
        Some(Self::first(text.get(start..)?.first_chunk()?, limit.wrapping_sub(start)))
    }

    /// The key of the first `length` of some bytes.
    #[inline(always)]
    pub(crate) fn first(bytes: &[u8; KEY_BYTES], length: usize) -> Self {
        let [low, high] = KEY_MASKS[length.min(KEY_BYTES)];
        let key = u128::from_le_bytes(*bytes);
        Self { low: key as u64 & low, high: (key >> 64) as u64 & high }
    }

    /// Both halves in one, for hashing.
    #[inline(always)]
    fn mixed(self) -> u64 {
        self.low ^ self.high.rotate_left(29)
    }

    /// The preferred slot of the primary bucket, by Fibonacci hashing: the high bits of a product. The bucket's other
    /// slot has this number with the lowest bit flipped.
    #[inline(always)]
    fn primary(self) -> usize {
        (self.mixed().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize
    }

    /// A slot of the secondary bucket.
    fn secondary(self) -> usize {
        (self.mixed().wrapping_mul(0xC2B2_AE3D_27D4_EB4F) >> (64 - SLOTS.trailing_zeros())) as usize
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
        Some(Ids { packed, fifth: (bits >> 8) as u16, count: bits as u8 })
    }

    /// The entry, if there is one and nobody is writing it.
    fn read(&self) -> Option<(Key, Ids)> {
        let ([low, high], ([packed], bits)) = self.0.read()?;
        let ids = Ids { packed, fifth: (bits >> 8) as u16, count: bits as u8 };
        Some((Key { low, high }, ids))
    }

    fn put(&self, key: Key, ids: Ids) {
        self.0.put(&[key.low, key.high], ([ids.packed], u32::from(ids.fifth) << 8 | u32::from(ids.count)));
    }
}

#[derive(Debug)]
pub(crate) struct WordCache {
    slots: SlotArray<Slot, SLOTS>,
    /// How often a word was found in its secondary bucket; approximate, since threads overwrite each other's count.
    secondary_hits: AtomicU32,
    /// How many words were inserted; approximate too.
    inserted: AtomicU32,
}

/// A cache's slots: a reference that loops keep in a register, since no load from them can change it.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'c> {
    slots: &'c [Slot; SLOTS],
}

impl Lookup<'_> {
    /// Looks for a word in its primary bucket.
    #[inline(always)]
    pub(crate) fn get(self, key: Key) -> Option<Ids> {
        let primary = key.primary();
        // A branch, since it is predictable: nearly all are in their preferred slot.
        self.slots[primary].get(key).or_else(|| self.slots[primary ^ 1].get(key))
    }

    /// Prefetches a word's primary bucket.
    #[inline(always)]
    pub(crate) fn prefetch(self, key: Key) {
        prefetch(std::ptr::from_ref(&self.slots[key.primary()]).cast());
    }
}

impl WordCache {
    pub(crate) fn new() -> Self {
        Self { slots: SlotArray::new(), secondary_hits: AtomicU32::new(0), inserted: AtomicU32::new(0) }
    }

    fn slot(&self, number: usize) -> &Slot {
        &self.slots[number]
    }

    /// What looks in primary buckets.
    #[inline(always)]
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup { slots: &self.slots }
    }

    /// Looks in the primary bucket.
    fn get(&self, key: Key) -> Option<Ids> {
        self.lookup().get(key)
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
        self.count_insertion();
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

    /// Words are spread over all pages, so that each new one would cost two or three page faults, many times what merging it
    /// does. A process that shows more words than a prompt takes all pages at once.
    fn count_insertion(&self) {
        const MANY: u32 = 64;
        let inserted = self.inserted.load(Ordering::Relaxed);
        self.inserted.store(inserted.wrapping_add(1), Ordering::Relaxed);
        if inserted == MANY {
            self.slots.populate();
        }
    }

    fn bucket(&self, number: usize) -> [&Slot; 2] {
        [self.slot(number), self.slot(number ^ 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_put() {
        let cache = WordCache::new();
        for count in 0..=MAX_IDS {
            let ids: Vec<u16> = (1..=count as u16).map(|n| n * 1001).collect();
            let (key, packed) = (Key::new(format!("word{count}").as_bytes()).unwrap(), Ids::new(&ids).unwrap());
            assert_eq!(cache.get(key), None);
            assert_eq!(cache.get_anywhere(key), None);
            cache.put(key, packed);
            assert_eq!((packed.len(), &packed.all()[..count]), (count, &ids[..]));
            assert_eq!(cache.get(key), Some(packed));
            let slots = cache.bucket(key.primary());
            assert!(slots.into_iter().any(|slot| slot.read().is_some_and(|(_, found)| found == packed)));
        }
        assert!(Ids::new(&[1; MAX_IDS + 1]).is_none());
    }

    #[test]
    fn keys_are_words_of_up_to_fifteen_bytes() {
        assert!(Key::new(&[b'x'; MAX_WORD_BYTES]).is_some() && Key::new(&[b'x'; MAX_WORD_BYTES + 1]).is_none());
        let text = b"a cat on a mat, and more behind it";
        for (start, limit) in [(0, 1), (2, 5), (11, 14)] {
            assert_eq!(Key::within(text, start, limit), Key::new(&text[start..limit]), "{start}..{limit}");
        }
        assert_eq!(Key::within(text, text.len() - KEY_BYTES + 1, text.len()), None);
    }

    /// The third word of a bucket moves one of the others to that one's secondary bucket, where it is found.
    #[test]
    fn an_evicted_word_goes_to_its_secondary_bucket() {
        let cache = WordCache::new();
        let word = |n: usize| Key::new(n.to_string().as_bytes()).unwrap();
        let home = word(0).primary() >> 1;
        let same: Vec<Key> = (0..).map(word).filter(|key| key.primary() >> 1 == home).take(3).collect();
        for (n, &key) in same.iter().enumerate() {
            cache.put(key, Ids::new(&[n as u16]).unwrap());
        }
        let here = |key: Key| cache.get(key).is_some();
        assert_eq!(same.iter().filter(|&&key| here(key)).count(), 2);
        let moved = *same.iter().find(|&&key| !here(key)).unwrap();
        for (n, &key) in same.iter().enumerate() {
            assert_eq!(cache.get_anywhere(key), Ids::new(&[n as u16]));
        }
        assert_ne!(moved.secondary() >> 1, home);
        // The sixteenth hit moves it back.
        (1..16).for_each(|_| assert!(cache.get_anywhere(moved).is_some()));
        assert!(here(moved));
    }

    /// Two words of one bucket are both found, whichever of its slots they prefer, and words are spread over all buckets.
    #[test]
    fn every_slot_is_used() {
        let word = |n: usize| Key::new(n.to_string().as_bytes()).unwrap();
        for slot in [6, 7] {
            let cache = WordCache::new();
            let same: Vec<usize> = (0..).filter(|&n| word(n).primary() == slot).take(2).collect();
            for &n in &same {
                cache.put(word(n), Ids::new(&[n as u16]).unwrap());
            }
            assert!(same.iter().all(|&n| cache.get(word(n)) == Ids::new(&[n as u16])));
        }
        for number in [Key::primary, Key::secondary] {
            let found: std::collections::HashSet<usize> = (0..10_000).map(|n| number(word(n))).collect();
            assert!(found.len() > 9_000 && found.iter().all(|&slot| slot < SLOTS), "{}", found.len());
        }
        let ends: std::collections::HashSet<u64> =
            (0..100).map(|n| Key::new(format!("longword{n}").as_bytes()).unwrap().mixed()).collect();
        assert_eq!(ends.len(), 100);
    }

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
