//! The merge cache's second table, for words of up to 31 bytes and 12 ids: in text beyond ASCII, and in code.

use crate::seqlock::SeqLock;
use crate::slot_array::{self, SlotArray};

/// The longest word that is cached: the last byte of the key holds the length.
const MAX_WORD_BYTES: usize = 31;
/// The most ids of a cached word.
const MAX_IDS: usize = 12;
const SLOTS: usize = 1 << 15; // of 64 bytes: 2 MiB

/// A cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(SeqLock<4, 3>);

// SAFETY: it is made of atomic integers, and aligned to 64 bytes.
#[allow(unsafe_code)]
unsafe impl slot_array::Slot for Slot {}

#[derive(Debug)]
pub(crate) struct LongWordCache {
    slots: SlotArray<Slot, SLOTS>,
}

impl LongWordCache {
    pub(crate) fn new() -> Self {
        Self { slots: SlotArray::new() }
    }

    /// Replaces `ids` by those of the word, if they are cached. Returns whether they are.
    pub(crate) fn get(&self, word: &[u8], ids: &mut Vec<u16>) -> bool {
        let Some(key) = key(word) else { return false };
        let Some((packed, count)) = self.slots(&key).into_iter().find_map(|slot| slot.0.get(&key)) else {
            return false;
        };
        let all = packed.iter().flat_map(|packed| [0, 16, 32, 48].map(|shift| (packed >> shift) as u16));
        ids.clear();
        ids.extend(all.take(count as usize));
        true
    }

    /// Inserts a word, unless it or its ids are too long, into the slot of its bucket that was written less often.
    pub(crate) fn put(&self, word: &[u8], ids: &[u16]) {
        let (Some(key), true) = (key(word), ids.len() <= MAX_IDS) else { return };
        let mut packed = [0; MAX_IDS / 4];
        for (i, &id) in ids.iter().enumerate() {
            packed[i / 4] |= u64::from(id) << (16 * (i % 4));
        }
        if let Some(slot) = self.slots(&key).into_iter().min_by_key(|slot| slot.0.version()) {
            slot.0.put(&key, (packed, ids.len() as u32));
        }
    }

    fn slots(&self, key: &[u64; 4]) -> [&Slot; 2] {
        let mixed =
            key.iter().fold(0u64, |mixed, word| (mixed ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        let home = (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize;
        [&self.slots[home], &self.slots[home ^ 1]]
    }
}

/// The word's bytes, zeros, and its length in the last byte. `None` for a longer word, and for one of eight NULs and more.
fn key(word: &[u8]) -> Option<[u64; 4]> {
    let mut bytes = [0; MAX_WORD_BYTES + 1];
    bytes[..MAX_WORD_BYTES].get_mut(..word.len())?.copy_from_slice(word);
    bytes[MAX_WORD_BYTES] = word.len() as u8;
    let (words, _) = bytes.as_chunks();
    let key: [u64; 4] = std::array::from_fn(|i| u64::from_le_bytes(words[i]));
    (key[0] != 0).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_put() {
        let cache = LongWordCache::new();
        for (length, count) in [(1, 0), (8, 1), (9, 4), (16, 5), (24, 9), (31, 12)] {
            let (word, ids): (Vec<u8>, Vec<u16>) = (vec![b'a'; length], (1..=count).map(|n| n * 5001).collect());
            let mut found = vec![7];
            assert!(!cache.get(&word, &mut found) && found == [7]);
            cache.put(&word, &ids);
            assert!(cache.get(&word, &mut found));
            assert_eq!(found, ids);
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let cache = LongWordCache::new();
        let mut found = Vec::new();
        for (word, ids) in [(&[b'a'; 32][..], &[1; 3][..]), (&[b'a'; 31], &[1; 13]), (&[0; 9], &[1]), (&[], &[1])] {
            cache.put(word, ids);
            assert!(!cache.get(word, &mut found), "{word:?}");
        }
    }

    /// Half as many words as there are slots: nine of ten stay, as with a random slot in buckets of two.
    #[test]
    fn words_spread_over_the_slots() {
        let cache = LongWordCache::new();
        let words: Vec<Vec<u8>> = (0..SLOTS as u32 / 2).map(|n| format!("a longer word {n}").into_bytes()).collect();
        words.iter().zip(0..).for_each(|(word, n)| cache.put(word, &[n]));
        let mut found = Vec::new();
        let kept = words.iter().zip(0..).filter(|&(word, n)| cache.get(word, &mut found) && found == [n]).count();
        assert!(kept > words.len() * 86 / 100, "{kept}");
    }

    /// Three words of one bucket: the newest is there, and so is one of the others.
    #[test]
    fn the_slot_that_was_written_less_often_is_overwritten() {
        let cache = LongWordCache::new();
        let word = |n: u32| format!("long word {n}").into_bytes();
        let bucket = |n: u32| {
            cache.slots(&key(&word(n)).unwrap()).map(|slot| std::ptr::from_ref(slot) as usize).into_iter().min()
        };
        let same: Vec<u32> = (0..).filter(|&n| bucket(n) == bucket(0)).take(3).collect();
        for &n in &same {
            cache.put(&word(n), &[n as u16]);
        }
        let mut found = Vec::new();
        let there: Vec<bool> = same.iter().map(|&n| cache.get(&word(n), &mut found) && found == [n as u16]).collect();
        assert!(there[2] && there[0] != there[1], "{there:?}");
    }
}
