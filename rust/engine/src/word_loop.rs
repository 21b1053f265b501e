//! The hot loop: from the words that a scan found to their ids, by the merge cache.

use crate::encode::{GO_ON, flow};
use crate::engine::Engine;
use crate::id_buffer::IdBuffer;
use crate::interrupt::poll;
use crate::long_word_cache::LongKey;
use crate::scan::{MASK, ROOM, STARTS, Scan};
use crate::sink::Sink;
use crate::word_cache::{KEY_BYTES, Key};
use std::ops::ControlFlow;

/// Buffers for the ids of words.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) buffer: IdBuffer,
    pub(crate) symbols: Vec<u16>,
}

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
    /// Prefetches the slots of a scan's words, where there are more distinct ones than the processor's caches hold slots:
    /// [`Engine::encode_scan`] would wait for one after the other. The scan should have few enough for the first cache.
    #[inline(always)]
    pub(crate) fn prefetch_words(&self, scan: &Scan) {
        let bpe = &self.vocabulary.bpe;
        for limits in scan.words().windows(2) {
            let [start, limit] = [0, 1].map(|i| usize::from(limits[i]));
            let (bytes, length) = (&scan.lower()[start & MASK..], limit - start);
            if length <= KEY_BYTES {
                bytes.first_chunk().into_iter().for_each(|bytes| bpe.lookup().prefetch(Key::first(bytes, length)));
            } else if let Some(key) = bytes.first_chunk().and_then(|bytes| LongKey::first(bytes, length)) {
                bpe.prefetch_long(key);
            }
        }
    }

    /// Appends the ids of a scan's words to the id buffer, which is flushed to the sink when it is full.
    ///
    /// It is compiled for scans that [have long words](Scan::has_long_words) and for others, and for those whose words are
    /// `PREFETCHED`.
    #[inline(always)]
    pub(crate) fn encode_scan<const LONG: bool, const PREFETCHED: bool>(
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
        let mut word = 0;
        loop {
            // The hot loop calls nothing, so that everything it needs stays in registers.
            loop {
                if word >= count {
                    begins.record_begin(count, at);
                    words.buffer.set_end(at);
                    return GO_ON;
                }
                begins.record_begin(word, at);
                let [start, length] = place(starts, word);
                if PREFETCHED && length > KEY_BYTES {
                    break; // longer than a key, white space left out: not waiting for a slot that does not have it
                }
                let Some(bytes) = lower[start & MASK..].first_chunk() else { break }; // never
                let Some(ids) = cache.get(Key::first(bytes, length)) else { break };
                at = words.buffer.put(at, ids);
                word += 1;
            }
            words.buffer.set_end(at);
            if IdBuffer::is_full(at) {
                flow(words.buffer.flush_into(sink))?;
            }
            let [start, length] = place(starts, word);
            let bytes = &lower[start & MASK..];
            flow(if LONG {
                self.encode_long_word(bytes, length, sink, words)
            } else {
                self.encode_rare_word(bytes, length, sink, words)
            })?;
            word += 1;
            at = words.buffer.end();
        }
    }

    /// Appends the ids of the word that `bytes` begin with, `length` bytes at most and zeros behind it, which the hot loop did
    /// not find. Returns whether they fit the sink.
    #[inline(always)]
    fn encode_long_word(&self, bytes: &[u8], length: usize, sink: &mut impl Sink, words: &mut Words) -> bool {
        let Words { buffer, symbols } = words;
        let key = bytes.first_chunk().and_then(|bytes| LongKey::first(bytes, length));
        if let Some(ids) = key.and_then(|key| self.vocabulary.bpe.long(key)) {
            let end = buffer.put_long(buffer.end(), ids);
            buffer.set_end(end);
            return true;
        }
        self.encode_new_word(first_word(&bytes[..length]), sink, buffer, symbols)
    }

    /// [`Engine::encode_long_word`] where there are few: the hot loop keeps its registers.
    #[cold]
    #[inline(never)]
    fn encode_rare_word(&self, bytes: &[u8], length: usize, sink: &mut impl Sink, words: &mut Words) -> bool {
        self.encode_long_word(bytes, length, sink, words)
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
}

/// Where a scan's word starts, and how many bytes it has at most.
#[inline(always)]
fn place(starts: &[u16; STARTS], word: usize) -> [usize; 2] {
    let [start, limit] = [0, 1].map(|i| usize::from(starts[word + i]));
    [start, limit - start]
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
    use proptest::prelude::*;

    /// The ids of ASCII without the cache and without the scan.
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
        /// The second time, words come from the cache: behind white space, within contractions, and right behind each other.
        #[test]
        fn words_are_the_same_once_they_are_in_the_cache(
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
}
