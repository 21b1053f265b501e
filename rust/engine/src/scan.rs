//! The ASCII scan: lowercases a text and finds where its words start and end, 64 bytes at a time and without a branch
//! per byte.
//!
//! Most text needs nothing else. The scan stops where the text is not ASCII or a special or added token may begin, and
//! after [`SEGMENT`] bytes, so that little work is wasted when a row is full. It always ends at white space or at the
//! end of the text: its words are whole, and the rest of the text can be encoded independently, since neither NFC nor
//! the split joins anything across white space.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::added_tokens::TokenStarts;
use crate::byte_set::ByteSet;
use crate::instructions::Instructions;
use crate::word_cache::KEY_BYTES;
use crate::words::{is_space, join_contractions};

/// The most bytes of one scan.
pub(crate) const SEGMENT: usize = 512;
/// The most bytes of all texts in one [`Scan`].
pub(crate) const ROOM: usize = 2048 + SEGMENT;
/// Bytes per step: one bit each of a `u64` mask.
const BLOCK: usize = 64;

/// The classes of a block's bytes, one bit per byte, the first byte in the lowest bit. A byte in none of the first
/// three is punctuation or a control character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Masks {
    letters: u64,
    digits: u64,
    spaces: u64,
    apostrophes: u64,
    /// Not ASCII, or a byte with which a special or an added token begins.
    stops: u64,
}

/// The words of one text or of several that were scanned one behind the other. About 16 KB.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The texts in lower case, padded so that a cache key can be read at the last word.
    lower: [u8; ROOM + BLOCK + KEY_BYTES],
    /// Byte offsets into `lower` at which words start and end, padded so that a whole block's can be written at once.
    starts: [u16; ROOM + 2 * BLOCK],
    ends: [u16; ROOM + 2 * BLOCK],
    /// How much of these arrays is in use.
    size: Size,
}

/// A number of bytes, and of words in them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    pub(crate) words: usize,
}

impl Default for Scan {
    fn default() -> Self {
        let offsets = [0; ROOM + 2 * BLOCK];
        Self { lower: [0; ROOM + BLOCK + KEY_BYTES], starts: offsets, ends: offsets, size: Size::default() }
    }
}

/// Why a scan ended, with byte offsets into its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanEnd {
    /// The whole text was scanned.
    End,
    /// [`SEGMENT`] bytes were scanned, up to this white space: scan on from here.
    Segment(usize),
    /// The text was scanned up to the first offset, which is white space or 0. At the second stands a byte at which the
    /// scan stops or, where that byte is ordinary, a word is longer than a segment.
    Other(usize, usize),
}

impl Scan {
    /// Scans `text` from its beginning and appends its words. The caller makes sure that [`SEGMENT`] more bytes fit.
    #[inline(always)]
    pub(crate) fn append(&mut self, text: &[u8], token_starts: &TokenStarts, instructions: Instructions) -> ScanEnd {
        match instructions {
            Instructions::Plain => {
                let classify =
                    |input: &[u8], lower: &mut [u8; BLOCK]| plain_block(&padded(input), lower, &token_starts.first);
                self.append_with(text, token_starts, classify, list_offsets)
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2::append(self, text, token_starts),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512::append(self, text, token_starts),
        }
    }

    #[inline(always)]
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Removes what was appended since [`Scan::size`] was this.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, size: Size) {
        self.size = size;
    }

    /// The texts in lower case. At least [`KEY_BYTES`] can be read from the start of each word.
    #[inline(always)]
    pub(crate) fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// The starts and the ends of the words, as byte offsets into [`Scan::lower`].
    #[inline(always)]
    pub(crate) fn words(&self) -> [&[u16]; 2] {
        [&self.starts[..self.size.words], &self.ends[..self.size.words]]
    }

    /// `classify` takes up to [`BLOCK`] bytes, treats missing ones as white space, and writes them in lower case.
    /// `list` writes the positions of a mask's bits, plus an offset, and may overwrite what stands behind them.
    #[inline(always)]
    fn append_with(
        &mut self,
        text: &[u8],
        token_starts: &TokenStarts,
        classify: impl Fn(&[u8], &mut [u8; BLOCK]) -> Masks,
        list: impl Fn(u64, u16, &mut [u16; BLOCK]),
    ) -> ScanEnd {
        let Size { bytes: base, words: before } = self.size;
        let segment = text.len().min(SEGMENT);
        let (mut starts, mut ends) = (before, before);
        let (mut letter, mut other, mut inside) = (0, 0, 0); // the last byte's bits, for the next block
        let mut contractions = 0; // apostrophes that may begin a contraction
        let mut stop = None;
        let mut at = 0;
        // One step more than the bytes need when they fill the last block: the last word ends behind it.
        while at <= segment {
            let (Some(lower), Some(to_starts), Some(to_ends)) = (
                self.lower[base + at..].first_chunk_mut::<BLOCK>(),
                self.starts[starts..].first_chunk_mut::<BLOCK>(),
                self.ends[ends..].first_chunk_mut::<BLOCK>(),
            ) else {
                break;
            };
            let Masks { letters, digits, spaces, apostrophes, stops } =
                classify(&text[at..segment.min(at + BLOCK)], lower);
            let others = !(letters | digits | spaces);
            let word = !spaces;
            let other_starts = others & !(others << 1 | other);
            let begin = letters & !(letters << 1 | letter) | other_starts | digits;
            contractions |= apostrophes & other_starts;
            let end = (word << 1 | inside) & (begin | spaces);
            (letter, other, inside) = (letters >> 63, others >> 63, word >> 63);
            list(begin, (base + at) as u16, to_starts);
            list(end, (base + at) as u16, to_ends);
            starts += begin.count_ones() as usize;
            ends += end.count_ones() as usize;
            if stops != 0 {
                stop = first_stop(stops, &text[at..], token_starts).map(|within| at + within);
                if stop.is_some() {
                    break;
                }
            }
            at += BLOCK;
        }
        let mut words = ends.min(starts);
        let result = match stop {
            None if segment == text.len() => ScanEnd::End,
            _ => {
                let stop = stop.unwrap_or(segment);
                let boundary = text[..stop].iter().rposition(|&byte| is_space(byte)).unwrap_or(0);
                while words > before && usize::from(self.starts[words - 1]) >= base + boundary {
                    words -= 1;
                }
                if stop == segment && boundary > 0 {
                    ScanEnd::Segment(boundary)
                } else {
                    ScanEnd::Other(boundary, stop)
                }
            }
        };
        if contractions != 0 {
            let Self { lower, starts, ends, .. } = self;
            words = before + join_contractions(&mut starts[before..words], &mut ends[before..words], lower, false);
        }
        self.size = Size { bytes: base + segment, words };
        result
    }
}

/// The position of the first of `stops` that ends the scan: beyond ASCII, or where a token may really begin.
#[cold]
fn first_stop(mut stops: u64, text: &[u8], token_starts: &TokenStarts) -> Option<usize> {
    while stops != 0 {
        let at = stops.trailing_zeros() as usize;
        if !text.get(at)?.is_ascii() || token_starts.may_begin(&text[at..]) {
            return Some(at);
        }
        stops &= stops - 1;
    }
    None
}

fn padded(input: &[u8]) -> [u8; BLOCK] {
    let mut padded = [b' '; BLOCK];
    padded[..input.len()].copy_from_slice(input);
    padded
}

/// Writes the position of each bit, plus `offset`.
#[inline(always)]
fn list_offsets(mut bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
    for slot in &mut offsets[..bits.count_ones() as usize] {
        *slot = offset + bits.trailing_zeros() as u16;
        bits &= bits.wrapping_sub(1);
    }
}

/// Whether `text` is ASCII without a byte of `set`.
pub(crate) fn is_ascii_without(text: &[u8], set: &ByteSet, instructions: Instructions) -> bool {
    match instructions {
        Instructions::Plain => text.iter().all(|&byte| byte.is_ascii() && !set.contains(byte)),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 | Instructions::Avx512 => avx2::is_ascii_without(text, set),
    }
}

fn plain_block(input: &[u8; BLOCK], lower: &mut [u8; BLOCK], stops: &ByteSet) -> Masks {
    let mut masks = Masks::default();
    for (i, (&byte, lower)) in input.iter().zip(lower).enumerate() {
        *lower = byte.to_ascii_lowercase();
        masks.letters |= u64::from(byte.is_ascii_alphabetic()) << i;
        masks.digits |= u64::from(byte.is_ascii_digit()) << i;
        masks.spaces |= u64::from(is_space(byte)) << i;
        masks.apostrophes |= u64::from(byte == b'\'') << i;
        masks.stops |= u64::from(!byte.is_ascii() || stops.contains(byte)) << i;
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use proptest::prelude::*;

    fn words(text: &str, instructions: Instructions) -> (Vec<String>, ScanEnd) {
        let token_starts = TokenStarts::new(&[], Profile::Transformers);
        let mut scan = Scan::default();
        scan.append(b"before it", &token_starts, instructions);
        let before = scan.size().words;
        let stop = scan.append(text.as_bytes(), &token_starts, instructions);
        let [starts, ends] = scan.words().map(|offsets| &offsets[before..]);
        let word = |(&start, &end): (&u16, &u16)| scan.lower()[start.into()..end.into()].to_vec();
        (starts.iter().zip(ends).map(word).map(|word| String::from_utf8(word).unwrap()).collect(), stop)
    }

    #[test]
    fn finds_words_and_stops() {
        fn all(text: &str) -> (Vec<String>, ScanEnd) {
            words(text, Instructions::Plain)
        }
        assert_eq!(all("It's a TEST, no. 12!").0, ["it", "'s", "a", "test", ",", "no", ".", "1", "2", "!"]);
        assert_eq!(all("'sabc !'s 'tis ''s '").0, ["'s", "abc", "!'", "s", "'t", "is", "''", "s", "'"]);
        assert_eq!(all(""), (vec![], ScanEnd::End));
        assert_eq!(all("a b\u{e9} c"), (vec!["a".to_owned()], ScanEnd::Other(1, 3)));
        assert_eq!(all("a b<|c"), (vec!["a".to_owned()], ScanEnd::Other(1, 3)));
        assert_eq!(all("a b<c <"), (["a", "b", "<", "c", "<"].map(str::to_owned).to_vec(), ScanEnd::End));
        assert_eq!(all(&"x".repeat(600)).1, ScanEnd::Other(0, SEGMENT));
        assert_eq!(all(&"xyz ".repeat(200)).1, ScanEnd::Segment(511));
        for n in [63, 64, 65, 127, 128, 511, 512] {
            assert_eq!(all(&"x".repeat(n)), (vec!["x".repeat(n)], ScanEnd::End));
        }
    }

    proptest! {
        #[test]
        fn all_instructions_agree(text in "([a-zA-Z]{1,9}|'s|'ll|'|[0-9]|[ \t\n\x0b\x0c\r\x1c]|[!-~]|<\\||é){0,300}") {
            let mut set = ByteSet::default();
            b"&\x1c~".iter().for_each(|&byte| set.insert(byte));
            let without = |instructions| is_ascii_without(text.as_bytes(), &set, instructions);
            for instructions in Instructions::available() {
                prop_assert_eq!(words(&text, Instructions::Plain), words(&text, instructions));
                prop_assert_eq!(without(Instructions::Plain), without(instructions));
            }
        }
    }
}
