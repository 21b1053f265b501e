//! The scan of plain ASCII: bytes to lower case, and where words begin and end, 64 bytes at a time and without a
//! branch per byte.
//!
//! Most text never needs more than this. The scan goes as far as the text is plain, and no further than a segment: a
//! stretch short enough that little is wasted when a row is full. It always ends at white space or at the text's end,
//! so what it found is whole words, and what follows can be read by itself: neither NFC nor the split ever joins
//! anything across white space.

#[cfg(target_arch = "x86_64")]
mod avx2;

use crate::split::contraction;

/// The most bytes of one scan.
const SEGMENT: usize = 512;
/// Bytes of one step: one bit each of a `u64`.
const BLOCK: usize = 64;
/// A word's key is read as 16 bytes from its beginning, wherever that is.
pub(crate) const OVERREAD: usize = 16;

/// Which instructions the scan uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// One byte after the other: on every machine.
    Plain,
    /// 32 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Instructions {
    /// The best that this machine has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if avx2::is_available() {
            return Self::Avx2;
        }
        Self::Plain
    }
}

/// A set of ASCII bytes, as two nibbles: a byte's low nibble names an entry, its high nibble a bit in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteSet([u8; 16]);

impl ByteSet {
    pub(crate) fn insert(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.0[usize::from(byte & 15)] |= 1 << (byte >> 4);
        }
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        byte.is_ascii() && self.0[usize::from(byte & 15)] >> (byte >> 4) & 1 != 0
    }
}

/// What a block's bytes are, a bit each, the first byte lowest. A byte in none of the first three is punctuation or a
/// control character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Masks {
    letters: u64,
    digits: u64,
    spaces: u64,
    apostrophes: u64,
    /// Not ASCII, or in the set of bytes to stop at.
    stops: u64,
}

/// The words of a scan.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The text in lower case, and room to read beyond the last word.
    lower: [u8; SEGMENT + BLOCK + OVERREAD],
    /// Where words begin and end in it.
    words: [[u32; 2]; SEGMENT + BLOCK],
    count: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self { lower: [0; SEGMENT + BLOCK + OVERREAD], words: [[0; 2]; SEGMENT + BLOCK], count: 0 }
    }
}

/// Why and where a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// All of the text was plain.
    End,
    /// Plain so far, up to this white space: scan on from here.
    Segment(usize),
    /// Plain up to the first place, white space or the beginning; at the second stands something else, or, when that
    /// is a byte like any other, a word too long for a scan.
    Other(usize, usize),
}

impl Scan {
    /// Scans `text` from its beginning and calls `take` with the scan. `stops` are the bytes that end plain text besides
    /// those that are not ASCII. `take` is compiled for the same instructions.
    #[inline(always)]
    pub(crate) fn scan<R>(
        &mut self,
        text: &[u8],
        stops: &ByteSet,
        instructions: Instructions,
        take: impl FnOnce(&Self, Stop) -> R,
    ) -> R {
        match instructions {
            Instructions::Plain => {
                let stop = self.scan_with(text, |block, lower| plain_block(block, lower, stops));
                take(self, stop)
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2::scan(self, text, stops, take),
        }
    }

    /// The text in lower case, with room behind it.
    #[inline(always)]
    pub(crate) fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// Where the words are in [`Scan::lower`].
    #[inline(always)]
    pub(crate) fn words(&self) -> &[[u32; 2]] {
        &self.words[..self.count]
    }

    #[inline(always)]
    fn scan_with(&mut self, text: &[u8], mut block: impl FnMut(&[u8; BLOCK], &mut [u8; BLOCK]) -> Masks) -> Stop {
        let segment = text.len().min(SEGMENT);
        let (mut starts, mut ends) = (0, 0);
        let (mut letter, mut other, mut inside) = (0, 0, 0); // the last byte's bits, for the next block
        let mut contractions = 0; // apostrophes that may begin one
        let mut stop = None;
        let mut at = 0;
        // One step more than the bytes need when they fill the last block, for the end of the last word.
        while at <= segment {
            let mut padded = [b' '; BLOCK];
            let input = match text.get(at..at + BLOCK) {
                Some(whole) if at + BLOCK <= segment => whole.try_into().unwrap_or(&padded),
                _ => {
                    padded[..segment - at].copy_from_slice(&text[at..segment]);
                    &padded
                }
            };
            let Some((lower, _)) = self.lower[at..].split_first_chunk_mut::<BLOCK>() else { break };
            let Masks { letters, digits, spaces, apostrophes, stops } = block(input, lower);
            let stops = if segment - at < BLOCK { stops & ((1 << (segment - at)) - 1) } else { stops }; // no padding
            let others = !(letters | digits | spaces);
            let word = !spaces;
            let other_starts = others & !(others << 1 | other);
            let begin = letters & !(letters << 1 | letter) | other_starts | digits;
            contractions |= apostrophes & other_starts;
            let end = (word << 1 | inside) & (begin | spaces);
            (letter, other, inside) = (letters >> 63, others >> 63, word >> 63);
            starts = flatten::<0>(begin, at, &mut self.words, starts);
            ends = flatten::<1>(end, at, &mut self.words, ends);
            if stops != 0 {
                stop = Some(at + stops.trailing_zeros() as usize);
                break;
            }
            at += BLOCK;
        }
        self.count = ends.min(starts);
        let result = match stop {
            None if segment == text.len() => Stop::End,
            _ => {
                let stop = stop.unwrap_or(segment);
                let cut = text[..stop].iter().rposition(|&byte| is_space(byte)).unwrap_or(0);
                while self.count > 0 && self.words[self.count - 1][0] as usize >= cut {
                    self.count -= 1;
                }
                if stop == segment && cut > 0 { Stop::Segment(cut) } else { Stop::Other(cut, stop) }
            }
        };
        if contractions != 0 {
            self.count = join_contractions(&mut self.words[..self.count], &self.lower, false);
        }
        result
    }
}

/// Appends the places of `bits` to one side of `words`, after the first `n`; returns how many there are then.
#[inline(always)]
fn flatten<const SIDE: usize>(mut bits: u64, offset: usize, words: &mut [[u32; 2]], n: usize) -> usize {
    let count = bits.count_ones() as usize;
    for word in &mut words[n..n + count] {
        word[SIDE] = offset as u32 + bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
    }
    n + count
}

/// `'s` and its like are one word where the apostrophe begins a run of punctuation: the letters behind them, if any are
/// left, are the next. So the word at a lone apostrophe ends later, and the next one begins later. Returns how many
/// words there are then.
pub(crate) fn join_contractions(words: &mut [[u32; 2]], lower: &[u8], long_s: bool) -> usize {
    let mut kept = 0;
    let mut i = 0;
    while i < words.len() {
        let [start, end] = words[i];
        words[kept] = words[i];
        if lower[start as usize] == b'\'' && end == start + 1 && i + 1 < words.len() {
            let [next, next_end] = words[i + 1];
            if next == end
                && let Some(length) = contraction(&lower[next as usize..next_end as usize], long_s)
            {
                let joined = end + length as u32;
                words[kept][1] = joined;
                words[i + 1][0] = joined;
                if joined == next_end {
                    i += 1; // nothing is left of it
                }
            }
        }
        kept += 1;
        i += 1;
    }
    kept
}

/// Whether `text` is ASCII without a byte of `set`.
pub(crate) fn is_ascii_without(text: &[u8], set: &ByteSet, instructions: Instructions) -> bool {
    match instructions {
        Instructions::Plain => text.iter().all(|&byte| byte.is_ascii() && !set.contains(byte)),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => avx2::is_ascii_without(text, set),
    }
}

/// The white space among ASCII: `\s` of both references.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
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
    use proptest::prelude::*;

    fn words(text: &str, instructions: Instructions) -> (Vec<String>, Stop) {
        let mut stops = ByteSet::default();
        stops.insert(b'<');
        let mut scan = Scan::default();
        scan.scan(text.as_bytes(), &stops, instructions, |scan, stop| {
            let word = |&[start, end]: &[u32; 2]| scan.lower()[start as usize..end as usize].to_vec();
            (scan.words().iter().map(word).map(|word| String::from_utf8(word).unwrap()).collect(), stop)
        })
    }

    #[test]
    fn finds_words_and_stops() {
        fn all(text: &str) -> (Vec<String>, Stop) {
            words(text, Instructions::Plain)
        }
        assert_eq!(all("It's a TEST, no. 12!").0, ["it", "'s", "a", "test", ",", "no", ".", "1", "2", "!"]);
        assert_eq!(all("'sabc !'s 'tis ''s '").0, ["'s", "abc", "!'", "s", "'t", "is", "''", "s", "'"]);
        assert_eq!(all(""), (vec![], Stop::End));
        assert_eq!(all("a b\u{e9} c"), (vec!["a".to_owned()], Stop::Other(1, 3)));
        assert_eq!(all("a b<c"), (vec!["a".to_owned()], Stop::Other(1, 3)));
        assert_eq!(all(&"x".repeat(600)).1, Stop::Other(0, SEGMENT));
        assert_eq!(all(&"xyz ".repeat(200)).1, Stop::Segment(511));
        for n in [63, 64, 65, 127, 128, 511, 512] {
            assert_eq!(all(&"x".repeat(n)), (vec!["x".repeat(n)], Stop::End));
        }
    }

    proptest! {
        #[test]
        fn all_instructions_agree(text in "([a-zA-Z]{1,9}|'s|'ll|'|[0-9]|[ \t\n\x0b\x0c\r\x1c]|[!-~]|é){0,300}") {
            prop_assert_eq!(words(&text, Instructions::Plain), words(&text, Instructions::detect()));
            let mut set = ByteSet::default();
            b"&\x1c~".iter().for_each(|&byte| set.insert(byte));
            let without = |instructions| is_ascii_without(text.as_bytes(), &set, instructions);
            prop_assert_eq!(without(Instructions::Plain), without(Instructions::detect()));
        }
    }
}
