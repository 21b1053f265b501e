//! From one word to its ids: the cache, and on a miss the merges.

use crate::cache::{Cache, Ids, Key};
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
    cache: Cache,
    long_cache: LongCache,
}

impl Bpe {
    pub(crate) fn new(
        first: &[u16; 256],
        last: &[u16; 256],
        merges: impl ExactSizeIterator<Item = (u16, u16, Merge)>,
    ) -> Self {
        Self {
            first: *first,
            last: *last,
            pairs: PairTable::new(merges),
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
            self.spell(word, symbols);
            merge::merge(symbols, &self.pairs);
            match (key, Ids::new(symbols)) {
                (Some(key), Some(ids)) => self.cache.put(key, ids),
                _ => self.long_cache.put(word, symbols),
            }
        }
    }

    /// Merges a word without the cache, and says how many bytes each id covers.
    pub(crate) fn merge_with_lengths(&self, word: &[u8]) -> impl Iterator<Item = (u16, u32)> + use<> {
        let mut symbols = Vec::new();
        self.spell(word, &mut symbols);
        merge::merge_by_heap(&symbols, &self.pairs)
    }

    fn spell(&self, word: &[u8], symbols: &mut Vec<u16>) {
        symbols.clear();
        if let Some((&end, rest)) = word.split_last() {
            symbols.extend(rest.iter().map(|&byte| self.first[usize::from(byte)]));
            symbols.push(self.last[usize::from(end)]);
        }
    }
}
