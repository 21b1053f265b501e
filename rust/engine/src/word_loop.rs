//! The hot loop: from the words that a scan found to their ids, by the merge cache.

use crate::encode::{GO_ON, flow};
use crate::engine::Engine;
use crate::id_buffer::IdBuffer;
use crate::interrupt::poll;
use crate::scan::{MASK, ROOM, Scan};
use crate::sink::Sink;
use crate::word_cache::{Ids, KEY_BYTES, Key};
use std::ops::ControlFlow;

/// Buffers for the ids of words.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) buffer: IdBuffer,
    pub(crate) symbols: Vec<u16>,
    /// How many pairs that are not in the cache are passed over before one is put there.
    patience: u32,
}

/// The pairs that are passed over once one has evicted another. Most pairs are seen once; those that are seen often get in.
const PATIENCE: u32 = 16;

/// Records where the ids of a word begin in the id buffer, or nothing. Told of the first word of each text at least, and of
/// the end of the last.
pub(crate) trait RecordBegin {
    fn record_begin(&mut self, word: usize, begin: usize);
}

impl RecordBegin for () {
    #[inline(always)]
    fn record_begin(&mut self, _: usize, _: usize) {}
}

impl RecordBegin for &mut [u16; ROOM + 1] {
    #[inline(always)]
    fn record_begin(&mut self, word: usize, begin: usize) {
        self[word] = begin as u16;
    }
}

impl Engine {
    /// Appends the ids of a scan's words to the id buffer, looking up two at a time where it can.
    #[inline(always)]
    pub(crate) fn encode_scan(
        &self,
        scan: &Scan,
        sink: &mut impl Sink,
        words: &mut Words,
        mut begins: impl RecordBegin,
    ) -> ControlFlow<()> {
        let cache = self.vocabulary.bpe.lookup();
        let (lower, starts) = (scan.lower(), scan.starts());
        let count = scan.size().words.min(ROOM);
        let mut at = words.buffer.end();
        let mut patience = words.patience;
        let mut word = 0;
        loop {
            // The hot loop calls nothing, so that everything it needs stays in registers.
            let is_new_pair = loop {
                if word >= count {
                    begins.record_begin(count, at);
                    words.buffer.set_end(at);
                    words.patience = patience;
                    return GO_ON;
                }
                begins.record_begin(word, at);
                let [start, limit, after] = [0, 1, 2].map(|i| usize::from(starts[word + i]));
                let Some(bytes) = lower[start & MASK..].first_chunk() else { break false }; // never
                let (one, two) = (limit - start, after - start);
                let is_pair = two <= KEY_BYTES;
                let key = Key::first(bytes, if is_pair { two } else { one });
                if let Some(ids) = cache.get_either(key, is_pair) {
                    at = words.buffer.put(at, ids);
                    word += 1 + usize::from(is_pair);
                    continue;
                }
                if !is_pair {
                    break false;
                }
                if patience == 0 {
                    break true;
                }
                patience -= 1;
                let Some(ids) = cache.get(Key::first(bytes, one)) else { break false };
                at = words.buffer.put(at, ids);
                word += 1;
            };
            words.buffer.set_end(at);
            words.patience = patience;
            if IdBuffer::is_full(at) {
                flow(words.buffer.flush_into(sink))?;
            }
            if is_new_pair {
                self.encode_new_pair(lower, &starts[word..], sink, words)?;
                word += 2;
            } else {
                let first = usize::from(starts[word])..starts[word + 1].into();
                flow(self.encode_new_word(first_word(&lower[first]), sink, &mut words.buffer, &mut words.symbols))?;
                word += 1;
            }
            patience = words.patience;
            at = words.buffer.end();
        }
    }

    /// Appends the ids of words to the id buffer, which is flushed to the sink when it is full. `starts` are the offsets of
    /// the words in `lower`, where white space is zeros, and the end of the last one; from each a cache key can be read.
    #[inline(always)]
    pub(crate) fn encode_words(
        &self,
        lower: &[u8],
        starts: &[u32],
        sink: &mut impl Sink,
        words: &mut Words,
    ) -> ControlFlow<()> {
        let cache = self.vocabulary.bpe.lookup();
        let Words { buffer, symbols, .. } = words;
        let mut at = buffer.end();
        let mut each = starts.iter().zip(&starts[1..]);
        loop {
            let (start, limit) = loop {
                let Some((&start, &limit)) = each.next() else {
                    buffer.set_end(at);
                    return GO_ON;
                };
                let (start, limit) = (start as usize, limit as usize);
                if !IdBuffer::is_full(at)
                    && let Some(ids) = Key::within(lower, start, limit).and_then(|key| cache.get(key))
                {
                    at = buffer.put(at, ids);
                } else {
                    break (start, limit);
                }
            };
            buffer.set_end(at);
            if IdBuffer::is_full(at) {
                flow(buffer.flush_into(sink))?;
            }
            flow(self.encode_new_word(first_word(&lower[start..limit]), sink, buffer, symbols))?;
            at = buffer.end();
        }
    }

    /// Appends the ids of a word that the hot loop did not find, or that took a slow path anyway. Returns whether they
    /// fit the sink.
    #[cold]
    #[inline(never)]
    pub(crate) fn encode_new_word(
        &self,
        word: &[u8],
        sink: &mut impl Sink,
        buffer: &mut IdBuffer,
        symbols: &mut Vec<u16>,
    ) -> bool {
        poll();
        self.vocabulary.bpe.ids(word, symbols);
        buffer.pass(symbols, sink)
    }

    /// Appends the ids of the two words that begin at the first two offsets and end before the third, and puts them into the
    /// cache as a pair.
    #[cold]
    #[inline(never)]
    fn encode_new_pair(
        &self,
        lower: &[u8],
        starts: &[u16],
        sink: &mut impl Sink,
        words: &mut Words,
    ) -> ControlFlow<()> {
        let bpe = &self.vocabulary.bpe;
        let Words { buffer, symbols, patience } = words;
        let mut word = |start: u16, limit: u16| {
            let (start, limit) = (start.into(), limit.into());
            if let Some(ids) = Key::within(lower, start, limit).and_then(|key| bpe.lookup().get(key)) {
                let end = buffer.put(buffer.end(), ids);
                buffer.set_end(end);
                return ControlFlow::Continue(Some(ids));
            }
            flow(self.encode_new_word(first_word(&lower[start..limit]), sink, buffer, symbols))?;
            ControlFlow::Continue(Ids::new(symbols))
        };
        let (first, second) = (word(starts[0], starts[1])?, word(starts[1], starts[2])?);
        let ids = first.zip(second).and_then(|(first, second)| first.followed_by(second));
        let key = Key::new_pair(&lower[starts[0].into()..starts[2].into()]);
        let was_empty = key.zip(ids).is_some_and(|(key, ids)| bpe.put_pair(key, ids));
        *patience = if was_empty { 0 } else { PATIENCE };
        GO_ON
    }
}

/// The word at the beginning of `text`, up to the first zero.
pub(crate) fn first_word(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::split::{PreToken, split};
    use crate::vocabulary::Vocabulary;
    use proptest::prelude::*;

    /// The ids of ASCII without the cache, without pairs and without the scan.
    fn twin(engine: &Engine, text: &str) -> Vec<u32> {
        let (mut ids, lower) = (Vec::new(), text.to_ascii_lowercase());
        let _ = split(&lower, engine.profile, |pre_token| {
            if let PreToken::Word(word) = pre_token {
                ids.extend(
                    engine.vocabulary.bpe.merge_with_lengths(lower[word].as_bytes()).map(|(id, _)| u32::from(id)),
                );
            }
            GO_ON
        });
        ids
    }

    proptest! {
        /// The second time, neighbours come from the cache as pairs: across white space, within contractions, and right
        /// behind each other.
        #[test]
        fn pairs_are_what_their_words_are(
            parts in proptest::collection::vec(r"[a-d]{1,7}|[a-d]{8,17}|'(s|ll|x)?|[0-9]|[!,]{1,2}| {1,3}|\t", 0..60),
        ) {
            let text = parts.concat();
            for engine in (0..).map_while(|n| Engine::clip(Profile::Transformers).with_instructions(n)) {
                let expected = twin(&engine, &text);
                for _ in 0..2 {
                    prop_assert_eq!(&engine.encode(&text), &expected);
                }
            }
        }
    }

    /// After an eviction a pair is passed over some times before it gets in.
    #[test]
    fn pairs_are_found_once_they_were_seen() {
        let engine = Engine::clip(Profile::Transformers);
        let vocabulary = Vocabulary::clip();
        let key = Key::new_pair(b"zebra\0of").unwrap();
        let found = || vocabulary.bpe.lookup().get_either(key, true);
        assert!((0..=PATIENCE).any(|_| engine.encode("zebra of") == twin(&engine, "zebra of") && found().is_some()));
        let ids: Vec<u32> = found().map(|ids| ids.all()[..ids.len()].iter().map(|&id| id.into()).collect()).unwrap();
        assert_eq!(ids, twin(&engine, "zebra of"));
        // Neither a word of the same bytes, nor pairs that are too long or have too many ids.
        assert_eq!(vocabulary.bpe.lookup().get(key), None);
        assert_eq!(Key::new_pair(b"sixteen\0letters!"), None);
        assert_eq!(Key::new_pair(b"seventeen\0letters"), None);
        assert!(Key::new_pair(b"sixteen\0letters\0").is_some());
        let three = Ids::new(&[1, 2, 3]).unwrap();
        assert_eq!(three.followed_by(Ids::new(&[4, 5]).unwrap()), Ids::new(&[1, 2, 3, 4, 5]));
        assert_eq!(three.followed_by(three), None);
    }
}
