//! From one word to its ids: the cache, and on a miss the merges.

use crate::cache::{Cache, Ids, Key};
use crate::crossings::Crossings;
use crate::long_cache::LongCache;
use crate::merge;
use crate::pairs::{Merge, PairTable};

/// The symbols that bytes begin as, the merges, and the words seen before.
#[derive(Debug)]
pub(crate) struct Bpe {
    /// Symbol of each byte within a word.
    first: [u16; 256],
    /// Symbol of each byte at the end of a word.
    last: [u16; 256],
    pairs: PairTable,
    crossings: Crossings,
    cache: Cache,
    long_cache: LongCache,
}

impl Bpe {
    pub(crate) fn new(first: &[u16; 256], last: &[u16; 256], merges: &[(u16, u16, Merge)]) -> Self {
        Self {
            first: *first,
            last: *last,
            pairs: PairTable::new(merges),
            crossings: Crossings::new([first, last], merges),
            cache: Cache::new(),
            long_cache: LongCache::new(),
        }
    }

    /// The ids of a short word where the cache has them at hand. Where it does not, [`Bpe::ids`] knows.
    #[inline(always)]
    pub(crate) fn cached(&self, key: Key) -> Option<Ids> {
        self.cache.get(key)
    }

    /// Puts the ids of any word into `symbols`, from wherever in the caches they are, or merged and then cached.
    pub(crate) fn ids(&self, word: &[u8], symbols: &mut Vec<u16>) {
        let key = Key::new(word);
        if let Some(ids) = key.and_then(|key| self.cache.get_anywhere(key)) {
            symbols.clear();
            symbols.extend_from_slice(&ids.all()[..ids.len()]);
        } else if !self.long_cache.get(word, symbols) {
            self.merge(word, symbols);
            match (key, Ids::new(symbols)) {
                (Some(key), Some(ids)) => self.cache.put(key, ids),
                _ => self.long_cache.put(word, symbols),
            }
        }
    }

    /// Merges a word part by part: where no merge ever joins two bytes, the one part has nothing to do with the other.
    fn merge(&self, word: &[u8], symbols: &mut Vec<u16>) {
        symbols.clear();
        let mut begin = 0;
        for end in 1..=word.len() {
            if end == word.len() || !self.crossings.has(word[end - 1], word[end]) {
                let merged = symbols.len();
                self.spell(&word[begin..end], end == word.len(), symbols);
                merge::merge_from(merged, symbols, &self.pairs);
                begin = end;
            }
        }
    }

    /// Merges a word without the cache, and says how many bytes each id covers.
    pub(crate) fn merge_with_lengths(&self, word: &[u8]) -> impl Iterator<Item = (u16, u32)> + use<> {
        let mut symbols = Vec::new();
        self.spell(word, true, &mut symbols);
        merge::merge_by_heap(&symbols, &self.pairs)
    }

    /// Appends the symbols of some of a word's bytes, of its last ones or not.
    fn spell(&self, bytes: &[u8], last: bool, symbols: &mut Vec<u16>) {
        symbols.extend(bytes.iter().map(|&byte| self.first[usize::from(byte)]));
        if let (true, Some(symbol), Some(&byte)) = (last, symbols.last_mut(), bytes.last()) {
            *symbol = self.last[usize::from(byte)];
        }
    }
}
