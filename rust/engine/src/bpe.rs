//! From one word to its ids: by the merge cache and, on a miss, by merging.

use crate::interrupt::poll;
use crate::long_word_cache::{LongIds, LongKey, LongWordCache};
use crate::merge;
use crate::merge_table::{MergeTable, Pair};
use crate::mergeable_pairs::MergeablePairs;
use crate::reserve::reserve;
use crate::word_cache::{Ids, Key, Lookup, WordCache};

/// A vocabulary's merges, and the cache of words merged before. Shared by all engines of the vocabulary.
#[derive(Debug)]
pub(crate) struct Bpe {
    /// The symbol (token id) of each byte within a word.
    first: [u16; 256],
    /// The symbol of each byte at the end of a word.
    last: [u16; 256],
    merges: MergeTable,
    mergeable: MergeablePairs,
    cache: WordCache,
    long_cache: LongWordCache,
}

impl Bpe {
    /// `bytes` are the symbols of the bytes within a word and at its end.
    pub(crate) fn new(bytes: &[[u16; 256]; 2], merges: &[Pair]) -> Self {
        Self::of_tables(bytes, MergeTable::new(merges), MergeablePairs::new(bytes, merges))
    }

    pub(crate) fn of_tables(bytes: &[[u16; 256]; 2], merges: MergeTable, mergeable: MergeablePairs) -> Self {
        let [first, last] = *bytes;
        Self { first, last, merges, mergeable, cache: WordCache::new(), long_cache: LongWordCache::new() }
    }

    /// What has the ids of most short words at hand. On a miss, ask [`Bpe::ids`].
    #[inline(always)]
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        self.cache.lookup()
    }

    /// The ids of a word that is longer than the keys of [`Bpe::lookup`], or has more ids than its entries.
    #[inline(always)]
    pub(crate) fn long(&self, key: LongKey) -> Option<LongIds> {
        self.long_cache.get(key)
    }

    /// Prefetches what [`Bpe::long`] reads.
    #[inline(always)]
    pub(crate) fn prefetch_long(&self, key: LongKey) {
        self.long_cache.prefetch(key);
    }

    /// Replaces `symbols` by the ids of any word: from the caches, or merged and then cached.
    pub(crate) fn ids(&self, word: &[u8], symbols: &mut Vec<u16>) {
        let key = Key::new(word);
        let long_key = LongKey::new(word);
        symbols.clear();
        if let Some(ids) = key.and_then(|key| self.cache.get_anywhere(key)) {
            symbols.extend_from_slice(&ids.all()[..ids.len()]);
        } else if let Some(ids) = long_key.and_then(|key| self.long_cache.get(key)) {
            symbols.extend_from_slice(&ids.all()[..ids.len()]);
        } else {
            self.merge(word, symbols);
            match (key, Ids::new(symbols), long_key) {
                (Some(key), Some(ids), _) => self.cache.put(key, ids),
                (.., Some(key)) => self.long_cache.put(key, symbols),
                _ => {}
            }
        }
    }

    /// Merges a word part by part: between two bytes that no merge joins, its parts merge independently.
    fn merge(&self, word: &[u8], symbols: &mut Vec<u16>) {
        symbols.clear();
        reserve(symbols, word.len());
        let mut begin = 0;
        for end in 1..=word.len() {
            if end == word.len() || !self.mergeable.contains(word[end - 1], word[end]) {
                // Most parts of such words are single bytes.
                if begin + 1 == end && end < word.len() {
                    symbols.push(self.first[usize::from(word[begin])]);
                } else {
                    poll();
                    let merged = symbols.len();
                    self.spell(&word[begin..end], end == word.len(), symbols);
                    merge::merge_from(merged, symbols, &self.merges);
                }
                begin = end;
            }
        }
    }

    /// Merges a word without the cache. Yields each id and how many bytes it covers.
    pub(crate) fn merge_with_lengths(&self, word: &[u8]) -> impl Iterator<Item = (u16, u32)> + use<> {
        let mut symbols = Vec::new();
        self.spell(word, true, &mut symbols);
        merge::merge_by_heap(&symbols, &self.merges)
    }

    /// Appends the symbols of a word's bytes before merging. `last`: whether the word ends with them.
    fn spell(&self, bytes: &[u8], last: bool, symbols: &mut Vec<u16>) {
        symbols.extend(bytes.iter().map(|&byte| self.first[usize::from(byte)]));
        if let (true, Some(symbol), Some(&byte)) = (last, symbols.last_mut(), bytes.last()) {
            *symbol = self.last[usize::from(byte)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vocabulary;

    /// A short word is found by the hot loop from the second time on, a longer one in the other cache.
    #[test]
    fn merged_words_are_cached() {
        let bpe = &Vocabulary::clip().bpe;
        for (word, is_short) in [(&b"photograph"[..], true), (b"internationalization", false)] {
            let mut ids = Vec::new();
            let key = Key::new(word);
            let long_key = LongKey::new(word);
            let in_long = || long_key.and_then(|key| bpe.long(key)).map(|ids| ids.all()[..ids.len()].to_vec());
            assert!(key.and_then(|key| bpe.lookup().get(key)).is_none() && in_long().is_none());
            bpe.ids(word, &mut ids);
            let expected: Vec<u16> = bpe.merge_with_lengths(word).map(|(id, _)| id).collect();
            assert_eq!(ids, expected);
            let found = key.and_then(|key| bpe.lookup().get(key)).map(|ids| ids.all()[..ids.len()].to_vec());
            assert_eq!(found, is_short.then(|| expected.clone()));
            assert_eq!(in_long(), (!is_short).then(|| expected.clone()));
            bpe.ids(word, &mut ids);
            assert_eq!(ids, expected);
        }
    }
}
