//! The merge cache's second table, for words of up to 39 bytes: in text beyond ASCII, and in code.

use crate::prefetch::prefetch;
use crate::seqlock::SeqLock;
use crate::slot_array::{self, SlotArray};
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a key.
pub(crate) const LONG_KEY_BYTES: usize = 40;
/// The longest word that is cached: the last byte of its key is zero.
const MAX_WORD_BYTES: usize = LONG_KEY_BYTES - 1;
/// At least as many ids as a word has bytes.
pub(crate) const MAX_LONG_IDS: usize = 40;
const SLOTS: usize = 1 << 15; // of 128 bytes: 4 MiB

/// A word of up to 39 bytes without NUL: its bytes, then zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongKey([u64; LONG_KEY_BYTES / 8]);

impl LongKey {
    /// `None` for a longer word, an empty one, and one with NUL.
    pub(crate) fn new(word: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONG_KEY_BYTES];
        bytes[..MAX_WORD_BYTES].get_mut(..word.len())?.copy_from_slice(word);
        if word.is_empty() || word.contains(&0) { None } else { Self::first(&bytes, word.len()) }
    }

    /// The key of the first `length` of some bytes, a word and zeros behind it. `None` for a longer word.
    #[inline]
    pub(crate) fn first(bytes: &[u8; LONG_KEY_BYTES], length: usize) -> Option<Self> {
        static MASKS: [u8; 2 * LONG_KEY_BYTES] = {
            let mut masks = [0; 2 * LONG_KEY_BYTES];
            let mut at = 0;
            while at < LONG_KEY_BYTES {
                masks[at] = u8::MAX;
                at += 1;
            }
            masks
        };
        let masks: &[u8; LONG_KEY_BYTES] = MASKS[LONG_KEY_BYTES - length.min(LONG_KEY_BYTES)..].first_chunk()?;
        let (words, masks) = (bytes.as_chunks().0, masks.as_chunks().0);
        let key: [u64; LONG_KEY_BYTES / 8] =
            std::array::from_fn(|i| u64::from_le_bytes(words[i]) & u64::from_le_bytes(masks[i]));
        (key[key.len() - 1] >> 56 == 0).then_some(Self(key))
    }

    /// Whether the word has up to 15 bytes: the other cache takes it, unless it has too many ids.
    #[inline]
    fn is_short(self) -> bool {
        self.0[1] >> 56 == 0 && self.0[2] == 0
    }
}

/// Up to 40 ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongIds {
    packed: [u64; MAX_LONG_IDS / 4],
    count: u32,
}

impl LongIds {
    /// `None` when there are too many.
    fn new(ids: &[u16]) -> Option<Self> {
        if ids.len() > MAX_LONG_IDS {
            return None;
        }
        let mut packed = [0; MAX_LONG_IDS / 4];
        for (i, &id) in ids.iter().enumerate() {
            packed[i / 4] |= u64::from(id) << (16 * (i % 4));
        }
        Some(Self { packed, count: ids.len() as u32 })
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.count as usize
    }

    /// All of them, of which only the first [`LongIds::len`] mean anything.
    #[inline(always)]
    pub(crate) fn all(self) -> [u16; MAX_LONG_IDS] {
        let bytes = self.packed.map(u64::to_le_bytes);
        let bytes = bytes.as_flattened();
        std::array::from_fn(|i| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]))
    }
}

/// Two cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Slot(SeqLock<{ LONG_KEY_BYTES / 8 }, { MAX_LONG_IDS / 4 }>);

// SAFETY: it is made of atomic integers, and aligned to 128 bytes.
#[allow(unsafe_code)]
unsafe impl slot_array::Slot for Slot {}

#[derive(Debug)]
pub(crate) struct LongWordCache {
    slots: SlotArray<Slot, SLOTS>,
    /// Whether it ever had a word short enough for the other cache. English has none, and each look takes a page fault.
    has_short: AtomicBool,
}

impl LongWordCache {
    pub(crate) fn new() -> Self {
        Self { slots: SlotArray::new(), has_short: AtomicBool::new(false) }
    }

    #[inline(always)]
    pub(crate) fn get(&self, key: LongKey) -> Option<LongIds> {
        if key.is_short() && !self.has_short.load(Ordering::Relaxed) {
            return None;
        }
        let (packed, count) = self.slots(key).into_iter().find_map(|slot| slot.0.get(&key.0))?;
        Some(LongIds { packed, count })
    }

    /// Prefetches the slot that a word is most likely in.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: LongKey) {
        let [slot, _] = self.slots(key);
        let address = std::ptr::from_ref(slot).cast::<u8>();
        prefetch(address);
        prefetch(address.wrapping_add(size_of::<Slot>() / 2));
    }

    /// Inserts a word, unless it has too many ids, into the slot of its bucket that was written less often.
    pub(crate) fn put(&self, key: LongKey, ids: &[u16]) {
        let Some(ids) = LongIds::new(ids) else { return };
        if key.is_short() {
            self.has_short.store(true, Ordering::Relaxed);
        }
        if let Some(slot) = self.slots(key).into_iter().min_by_key(|slot| slot.0.version()) {
            slot.0.put(&key.0, (ids.packed, ids.count));
        }
    }

    #[inline]
    fn slots(&self, key: LongKey) -> [&Slot; 2] {
        let mixed =
            key.0.iter().fold(0u64, |mixed, word| (mixed ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        let home = (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize;
        [&self.slots[home], &self.slots[home ^ 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(word: &[u8]) -> LongKey {
        LongKey::new(word).unwrap()
    }

    #[test]
    fn ids_come_back_as_they_were_put() {
        let cache = LongWordCache::new();
        for (length, count) in [(1, 0), (8, 1), (9, 4), (16, 5), (24, 9), (39, 39)] {
            let (word, ids): (Vec<u8>, Vec<u16>) = (vec![b'a'; length], (1..=count).map(|n| n * 1501).collect());
            assert_eq!(cache.get(key(&word)), None);
            cache.put(key(&word), &ids);
            let found = cache.get(key(&word)).unwrap();
            assert_eq!(&found.all()[..found.len()], ids);
        }
    }

    #[test]
    fn keys_are_words_and_zeros() {
        for word in [&[b'a'; 40][..], &[0; 9], b"a\0b", b""] {
            assert_eq!(LongKey::new(word), None, "{word:?}");
        }
        let mut text = [b'x'; 40];
        assert_eq!(LongKey::first(&text, 40), None);
        assert_eq!(LongKey::first(&text, 99), None);
        for length in 1..40 {
            let key = key(&text[..length]);
            assert_eq!(LongKey::first(&text, length), Some(key));
            assert_eq!(key.is_short(), length <= 15);
        }
        text[20..].fill(0);
        assert_eq!(LongKey::first(&text, 40), LongKey::new(&text[..20]));
    }

    #[test]
    fn too_many_ids_are_not_kept() {
        let cache = LongWordCache::new();
        cache.put(key(b"word"), &[1; 41]);
        assert_eq!(cache.get(key(b"word")), None);
    }

    /// Half as many words as there are slots: nine of ten stay, as with a random slot in buckets of two.
    #[test]
    fn words_spread_over_the_slots() {
        let cache = LongWordCache::new();
        let words: Vec<Vec<u8>> = (0..SLOTS as u32 / 2).map(|n| format!("a longer word {n}").into_bytes()).collect();
        words.iter().zip(0..).for_each(|(word, n)| cache.put(key(word), &[n]));
        let kept = words
            .iter()
            .zip(0..)
            .filter(|&(word, n)| cache.get(key(word)).is_some_and(|ids| ids.all()[0] == n))
            .count();
        assert!(kept > words.len() * 86 / 100, "{kept}");
    }

    /// Three words of one bucket: the newest is there, and so is one of the others.
    #[test]
    fn the_slot_that_was_written_less_often_is_overwritten() {
        let cache = LongWordCache::new();
        let word = |n: u32| key(format!("long word {n}").as_bytes());
        let bucket = |n: u32| cache.slots(word(n)).map(|slot| std::ptr::from_ref(slot) as usize).into_iter().min();
        let same: Vec<u32> = (0..).filter(|&n| bucket(n) == bucket(0)).take(3).collect();
        for &n in &same {
            cache.put(word(n), &[n as u16]);
        }
        let there: Vec<bool> = same.iter().map(|&n| cache.get(word(n)) == LongIds::new(&[n as u16])).collect();
        assert!(there[2] && there[0] != there[1], "{there:?}");
    }
}
