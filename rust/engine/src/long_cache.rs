//! The cache of merged words that are too long for the other one: in text beyond ASCII, and in code.

use crate::entry::Entry;
use crate::table::{self, Table};

/// Longest word that is cached, in bytes: the last byte of the key holds the length.
const LONGEST: usize = 31;
/// Most ids of a cached word.
const MOST_IDS: usize = 12;
const PLACES: usize = 1 << 15; // 2 MiB, of which only pages in use cost memory

/// A cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Place(Entry<4, 3>);

// SAFETY: it is made of atomic integers, and aligned to 64 bytes.
#[allow(unsafe_code)]
unsafe impl table::Place for Place {}

#[derive(Debug)]
pub(crate) struct LongCache {
    places: Table<Place, PLACES>,
}

impl LongCache {
    pub(crate) fn new() -> Self {
        Self { places: Table::new() }
    }

    /// Puts the ids of a word into `ids`, if it knows them.
    pub(crate) fn get(&self, word: &[u8], ids: &mut Vec<u16>) -> bool {
        let Some(key) = key(word) else { return false };
        let Some((packed, count)) = self.places(&key).into_iter().find_map(|place| place.0.get(&key)) else {
            return false;
        };
        let all = packed.iter().flat_map(|packed| [0, 16, 32, 48].map(|shift| (packed >> shift) as u16));
        ids.clear();
        ids.extend(all.take(count as usize));
        true
    }

    /// Keeps a word, if it is not too long, in the place written less often.
    pub(crate) fn put(&self, word: &[u8], ids: &[u16]) {
        let (Some(key), true) = (key(word), ids.len() <= MOST_IDS) else { return };
        let mut packed = [0; MOST_IDS / 4];
        for (i, &id) in ids.iter().enumerate() {
            packed[i / 4] |= u64::from(id) << (16 * (i % 4));
        }
        if let Some(place) = self.places(&key).into_iter().min_by_key(|place| place.0.writes()) {
            place.0.put(&key, (packed, ids.len() as u32));
        }
    }

    fn places(&self, key: &[u64; 4]) -> [&Place; 2] {
        let mixed =
            key.iter().fold(0u64, |mixed, word| (mixed ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        let home = (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - PLACES.trailing_zeros())) as usize;
        [&self.places[home], &self.places[home ^ 1]]
    }
}

/// The bytes, zeros, and the length. Never zero.
fn key(word: &[u8]) -> Option<[u64; 4]> {
    let mut bytes = [0; LONGEST + 1];
    bytes[..LONGEST].get_mut(..word.len())?.copy_from_slice(word);
    bytes[LONGEST] = word.len() as u8;
    let (words, _) = bytes.as_chunks();
    Some(std::array::from_fn(|i| u64::from_le_bytes(words[i])))
}
