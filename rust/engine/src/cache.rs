//! The cache of merged words, shared by all threads without a lock.
//!
//! A fixed table: a word of up to 15 bytes is its own key, and up to five ids stand beside it. A word has two pairs of
//! places, each pair in one cache line. It is looked for in the first pair where words are many, in the second only before
//! it would be merged. A new word takes a place of its first pair, and sends the word that was there to that one's second
//! pair. So the table never grows, what is new is quick to find, and what is old but in use is not lost.

use crate::entry::Entry;
use crate::table::{self, Table};
use std::sync::atomic::{AtomicU32, Ordering};

/// Longest word that is cached, in bytes: the sixteenth byte of the key holds the length.
const LONGEST: usize = 15;
/// Most ids of a cached word.
pub(crate) const MOST_IDS: usize = 5;
const PLACES: usize = 1 << 17; // 4 MiB, of which only pages in use cost memory

/// What makes a key of the sixteen bytes that begin with a word of each length: the bits that belong to the word in the
/// first eight and in the others, and the length where it stands in the key.
static KEY_PARTS: [[u64; 3]; LONGEST + 1] = {
    let mut parts = [[0; 3]; LONGEST + 1];
    let mut length = 1;
    while length <= LONGEST {
        let mask = u128::MAX >> (128 - 8 * length);
        parts[length] = [mask as u64, (mask >> 64) as u64, (length as u64) << 56];
        length += 1;
    }
    parts
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
        let [low, high, length] = *KEY_PARTS.get(end.wrapping_sub(start))?;
        let bytes = text.get(start..)?.first_chunk::<16>()?;
        let key = u128::from_le_bytes(*bytes);
        Some(Self { low: key as u64 & low, high: (key >> 64) as u64 & high | length })
    }

    /// Both words of the key in one.
    #[inline(always)]
    fn mixed(self) -> u64 {
        self.low ^ self.high.rotate_left(29)
    }

    /// The place to look at first: the high bits of a product (Fibonacci hashing). The other of its pair comes next.
    #[inline(always)]
    fn home(self) -> u32 {
        (self.mixed().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - PLACES.trailing_zeros())) as u32
    }

    /// A place of the second pair.
    fn elsewhere(self) -> u32 {
        (self.mixed().wrapping_mul(0xC2B2_AE3D_27D4_EB4F) >> (64 - PLACES.trailing_zeros())) as u32
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

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.count.into()
    }

    /// All of them, whatever stands in the places beyond the count.
    #[inline(always)]
    pub(crate) fn all(self) -> [u16; MOST_IDS] {
        // Taken apart as bytes, which compilers store with one instruction.
        let bytes = self.packed.to_le_bytes();
        let id = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        [id(0), id(2), id(4), id(6), self.fifth]
    }
}

/// Half a cache line.
#[derive(Debug)]
#[repr(align(32))]
struct Place(Entry<2, 1>);

// SAFETY: it is made of atomic integers, and aligned to 32 bytes.
#[allow(unsafe_code)]
unsafe impl table::Place for Place {}

impl Place {
    #[inline(always)]
    fn get(&self, key: Key) -> Option<Ids> {
        let ([packed], bits) = self.0.get(&[key.low, key.high])?;
        Some(Ids { packed, fifth: bits as u16, count: (bits >> 16) as u8 })
    }

    /// The word that it has, if any.
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
pub(crate) struct Cache {
    places: Table<Place, PLACES>,
    /// How often a word was found in its second pair.
    found_elsewhere: AtomicU32,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self { places: Table::new(), found_elsewhere: AtomicU32::new(0) }
    }

    #[inline(always)]
    fn place(&self, number: u32) -> &Place {
        &self.places[number as usize]
    }

    /// What the word's first pair of places knows.
    #[inline(always)]
    pub(crate) fn get(&self, key: Key) -> Option<Ids> {
        let home = key.home();
        // A branch: nearly all words are in the place that is looked at first.
        self.place(home).get(key).or_else(|| self.place(home ^ 1).get(key))
    }

    /// What either pair knows. A word of the second pair that is often found there comes back to the first; not each
    /// time, or words in use would drive each other out.
    pub(crate) fn get_anywhere(&self, key: Key) -> Option<Ids> {
        const SELDOM: u32 = 16;
        self.get(key).or_else(|| {
            let ids = self.pair(key.elsewhere()).into_iter().find_map(|place| place.get(key))?;
            let found = self.found_elsewhere.load(Ordering::Relaxed).wrapping_add(1);
            self.found_elsewhere.store(found, Ordering::Relaxed); // if another thread's is lost, so be it
            if found.is_multiple_of(SELDOM) {
                self.put(key, ids);
            }
            Some(ids)
        })
    }

    /// Into a place of the first pair, the one written less often. The word that was there goes to its second pair, from
    /// where it comes back if it is looked for before others take its place there.
    pub(crate) fn put(&self, key: Key, ids: Ids) {
        let place = self.pair(key.home()).into_iter().min_by_key(|place| place.0.writes());
        let Some(place) = place else { return };
        if let Some((old, old_ids)) = place.read()
            && old.home() >> 1 == key.home() >> 1
            && let Some(other) = self.pair(old.elsewhere()).into_iter().min_by_key(|place| place.0.writes())
        {
            other.put(old, old_ids);
        }
        place.put(key, ids);
    }

    fn pair(&self, number: u32) -> [&Place; 2] {
        [self.place(number), self.place(number ^ 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_use_outlive_a_flood_of_others() {
        let cache = Cache::new();
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
        // What came last is in its first pair.
        let at_hand = (990_000..1_000_000).filter(|&n| cache.get(word(n)) == Some(ids(n))).count();
        assert!(at_hand > 9_000, "{at_hand}");
    }
}
