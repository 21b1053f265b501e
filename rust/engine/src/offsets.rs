//! Ids with the characters that each covers, as the tokenizers library reports offsets.

use crate::encode::{EncodeScratch, GO_ON, Segment, segments};
use crate::engine::Engine;
use crate::interrupt::poll;
use crate::normalise::{Normalised, normalise_with_origins};
use crate::reserve::reserve;
use crate::scan::{SEGMENT, ScanEnd, Size};
use crate::scratch::ThreadScratch;
use crate::split::{PreToken, split};
use crate::word_cache::Key;
use crate::word_loop::first_word;
use std::ops::Range;

/// The ids of several texts, one text behind the other, and what they cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// The ids.
    pub ids: Vec<i64>,
    /// For each id the characters of its text that it covers: the first, and the one behind the last. Zeros for the
    /// start and the end of text.
    pub spans: Vec<[i64; 2]>,
    /// Where each text's ids begin in `ids`, and where the last one's end.
    pub bounds: Vec<i64>,
}

impl Offsets {
    /// A text has no more ids than bytes.
    fn make_room(&mut self, bytes: usize) {
        reserve(&mut self.ids, bytes);
        reserve(&mut self.spans, bytes);
    }

    fn push(&mut self, id: u32, span: [i64; 2]) {
        self.ids.push(id.into());
        self.spans.push(span);
    }
}

impl Engine {
    /// The ids of texts and the characters that they cover, with start and end of text if `add_special_tokens`. Only
    /// meaningful for the `transformers` profile: the other references have no offsets.
    ///
    /// ```
    /// use cliptok::{Engine, Profile};
    ///
    /// let found = Engine::clip(Profile::Transformers).offsets(&["a cat", "Über"], false);
    /// assert_eq!(found.ids, [320, 2368, 6522, 1516]);
    /// assert_eq!(found.spans, [[0, 1], [2, 5], [0, 1], [1, 4]]);
    /// assert_eq!(found.bounds, [0, 2, 4]);
    /// ```
    pub fn offsets(&self, texts: &[&str], add_special_tokens: bool) -> Offsets {
        let mut found = Offsets { bounds: vec![0], ..Offsets::default() };
        let mut scratch = ThreadScratch::default();
        for text in texts {
            found.make_room(text.len() + 2);
            if add_special_tokens {
                found.push(self.start, [0, 0]);
            }
            let before = found.ids.len();
            if !self.offsets_of_ascii(text, &mut found, &mut scratch) {
                found.ids.truncate(before);
                found.spans.truncate(before);
                self.offsets_of_any(text, &mut found);
            }
            if add_special_tokens {
                found.push(self.end, [0, 0]);
            }
            found.bounds.push(found.ids.len() as i64);
        }
        found
    }

    /// The fast path: in ASCII without added tokens a token covers as many characters as it has bytes, from its word's
    /// start on. Returns whether that is all of the text; if not, the caller takes back what was appended.
    fn offsets_of_ascii(&self, text: &str, found: &mut Offsets, scratch: &mut EncodeScratch) -> bool {
        let Some(lengths) = self.vocabulary.token_lengths() else { return false };
        let cache = self.vocabulary.bpe.lookup();
        let EncodeScratch { scan, words, .. } = scratch;
        let mut base = 0;
        while base < text.len() {
            poll();
            scan.truncate(Size::default());
            let stop = scan.append(&text.as_bytes()[base..], SEGMENT, &self.added.starts, self.instructions);
            let (lower, starts) = (scan.lower(), scan.words());
            for (&start, &limit) in starts.iter().zip(&starts[1..]) {
                let (start, limit) = (usize::from(start), usize::from(limit));
                let mut at = (base + start) as i64;
                let mut push = |id: u16| {
                    let end = at + i64::from(lengths[usize::from(id)]);
                    found.push(id.into(), [at, end]);
                    at = end;
                };
                if let Some(ids) = Key::within(lower, start, limit).and_then(|key| cache.get(key)) {
                    ids.all()[..ids.len()].iter().copied().for_each(&mut push);
                } else {
                    self.vocabulary.bpe.ids(first_word(&lower[start..limit]), &mut words.symbols);
                    words.symbols.iter().copied().for_each(&mut push);
                }
            }
            base = match stop {
                ScanEnd::End => text.len(),
                ScanEnd::Segment(end) => base + end,
                ScanEnd::Other(..) => return false,
            };
        }
        true
    }

    /// Any text, by way of the bytes that each id covers.
    fn offsets_of_any(&self, text: &str, found: &mut Offsets) {
        const NFC: usize = 3; // times as many bytes at most
        found.make_room(NFC * text.len());
        let (mut characters, places) = (Vec::new(), text.len() + 1);
        reserve(&mut characters, places);
        characters.resize(places, 0);
        for (i, (byte, c)) in text.char_indices().enumerate() {
            poll();
            characters[byte + c.len_utf8()] = i as i64 + 1;
        }
        for (id, range) in self.encode_offsets(text) {
            poll();
            found.push(id, [characters[range.start], characters[range.end]]);
        }
    }

    /// The ids of a text, and for each the byte range of `text` that it covers, as tokenizers reports offsets. Only
    /// meaningful for the `transformers` profile: the other references have no offsets.
    pub fn encode_offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut out = Vec::new();
        let _ = segments(text, self.added.in_original.as_ref(), |segment| {
            match segment {
                Segment::Added(id, range) => out.push((id, range)),
                Segment::Text(range) => self.offsets_of_segment(text, range, &mut out),
            }
            GO_ON
        });
        out
    }

    fn offsets_of_segment(&self, text: &str, range: Range<usize>, out: &mut Vec<(u32, Range<usize>)>) {
        let Normalised { text: normalised, origins } = normalise_with_origins(&text[range.clone()]);
        let original =
            |within: Range<usize>| range.start + origins[within.start].0..range.start + origins[within.end - 1].1;
        let _ = segments(&normalised, self.added.in_normalised.as_ref(), |segment| {
            let part = match segment {
                Segment::Added(id, within) => {
                    out.push((id, original(within)));
                    return GO_ON;
                }
                Segment::Text(within) => within,
            };
            split(&normalised[part.clone()], self.profile, |pre_token| {
                poll();
                let (PreToken::Word(word) | PreToken::Special(_, word)) = pre_token;
                let mut at = part.start + word.start;
                for (id, bytes) in self.vocabulary.bpe.merge_with_lengths(&normalised.as_bytes()[at..][..word.len()]) {
                    out.push((id.into(), original(at..at + bytes as usize)));
                    at += bytes as usize;
                }
                GO_ON
            })
        });
    }
}
