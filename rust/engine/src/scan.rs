//! The ASCII scan: lowercases a text and finds where its words start and end, 64 bytes at a time and without a branch
//! per byte.
//!
//! Most text needs nothing else. The scan stops where the text is not ASCII or a special or added token may begin, and
//! after a segment, so that little work is wasted when a row is full. It always ends at white space or at the
//! end of the text: its words are whole, and the rest of the text can be encoded independently, since neither NFC nor
//! the split joins anything across white space.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod joined;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod sse;
mod unicode;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector128;

pub(crate) use joined::{Joined, Text};
pub(crate) use unicode::Rules;

use crate::added_tokens::TokenStarts;
use crate::byte_set::ByteSet;
use crate::instructions::{Instructions, Set, Task};
use crate::word_cache::KEY_BYTES;
use crate::words::{is_space, join_contractions};

/// The most bytes of the first scan of a text.
pub(crate) const SEGMENT: usize = 512;
/// The most bytes of a later one: a row would be full by then.
pub(crate) const LONG_SEGMENT: usize = ROOM - GAP;
/// The most bytes of all texts in one [`Scan`].
pub(crate) const ROOM: usize = MASK + 1 - BLOCK;
/// The zeros behind each text: no key reaches from one text to the next.
pub(crate) const GAP: usize = KEY_BYTES;
/// The bits of an offset. Offsets are less than this anyway; after an `&` the compiler knows it, and checks no bounds.
pub(crate) const MASK: usize = 4095;
/// Bytes per step at most: one bit each of a `u64` mask.
const BLOCK: usize = 64;

/// The classes of a block's bytes, one bit per byte, the first byte in the lowest bit. A byte in none of the first
/// three is punctuation or a control character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Masks {
    letters: u64,
    digits: u64,
    spaces: u64,
    /// Not ASCII, NUL, an apostrophe, or a byte with which a special or an added token may begin.
    stops: u64,
}

/// From each offset a whole step can be written, and a key read.
const LOWER: usize = MASK + 1 + BLOCK;
/// From each offset a whole step's words can be written.
pub(crate) const STARTS: usize = MASK + 1 + BLOCK;

/// What stands behind the end of the last word.
const STARTS_PADDING: u16 = u16::MAX;

/// The words of one text or of several that were scanned one behind the other. About 12 KB. The bytes stand first, as in
/// [`Joined`].
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Scan {
    /// The texts in lower case, with zeros for white space, padded so that a cache key can be read at the last word.
    lower: [u8; LOWER],
    /// Byte offsets into `lower` at which words start, then where the last of them ends at the latest.
    /// Padded so that a whole block's can be written at once.
    starts: [u16; STARTS],
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
        Self { lower: [0; LOWER], starts: [0; STARTS], size: Size::default() }
    }
}

/// Why a scan ended, with byte offsets into its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanEnd {
    /// The whole text was scanned.
    End,
    /// As many bytes as wanted were scanned, up to this white space: scan on from here.
    Segment(usize),
    /// The text was scanned up to the first offset, which is white space or 0. At the second stands a byte at which the
    /// scan stops or, where that byte is ordinary, a word is longer than a segment.
    Other(usize, usize),
}

impl Scan {
    /// Scans up to `most` bytes of `text` from its beginning and appends its words. The caller makes sure that so many more
    /// bytes fit, and [`GAP`], and that the machine has the instructions.
    pub(crate) fn append(
        &mut self,
        text: &[u8],
        most: usize,
        token_starts: &TokenStarts,
        instructions: Instructions,
    ) -> ScanEnd {
        struct Append<'a>(&'a mut Scan, &'a [u8], usize, &'a TokenStarts);
        impl Task for Append<'_> {
            type Output = ScanEnd;

            #[inline(always)]
            fn run<S: Set>(self) -> ScanEnd {
                self.0.append_by::<S>(self.1, self.2, self.3)
            }
        }
        instructions.run_task(Append(self, text, most, token_starts))
    }

    /// [`Scan::append`] inside a task that is compiled for a set of instructions.
    #[inline(always)]
    pub(crate) fn append_by<S: Set>(&mut self, text: &[u8], most: usize, token_starts: &TokenStarts) -> ScanEnd {
        struct Append<'a>(&'a mut Scan, &'a [u8], usize, &'a TokenStarts);
        impl StepTask for Append<'_> {
            type Output = ScanEnd;

            #[inline(always)]
            fn run<const STEP: usize>(self, steps: &impl Steps<STEP>) -> ScanEnd {
                self.0.append_with(self.1, self.2, self.3, steps)
            }
        }
        run_steps::<S, _>(&token_starts.stops, Append(self, text, most, token_starts))
    }

    #[inline(always)]
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Removes what was appended since [`Scan::size`] was this.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, size: Size) {
        self.size = size;
        self.starts[size.words] = size.bytes as u16;
    }

    /// The texts in lower case, with zeros for white space. At least [`KEY_BYTES`] can be read from the start of each word.
    #[inline(always)]
    pub(crate) fn lower(&self) -> &[u8; LOWER] {
        &self.lower
    }

    /// The starts of the words, as byte offsets into [`Scan::lower`], and behind them where the last word ends at the
    /// latest.
    #[inline(always)]
    pub(crate) fn words(&self) -> &[u16] {
        &self.starts[..=self.size.words]
    }

    /// Whether words are long, as in Cyrillic, Greek, Hebrew, Chinese or Thai: 7 bytes in the mean, where English has 5 and
    /// German 6, white space included. `gaps`: how many are in it.
    #[inline(always)]
    pub(crate) fn has_long_words(&self, gaps: usize) -> bool {
        const LONG: usize = 7;
        self.size.bytes >= LONG * self.size.words + GAP * gaps
    }

    /// The array that [`Scan::words`] begins.
    #[inline(always)]
    pub(crate) fn starts(&self) -> &[u16; STARTS] {
        &self.starts
    }

    /// Scans in steps of `STEP` bytes. The last step of a text is moved back, so that it too is whole, and overlaps the one
    /// before; a text that is shorter than a step is padded.
    #[inline(always)]
    fn append_with<const STEP: usize>(
        &mut self,
        text: &[u8],
        most: usize,
        token_starts: &TokenStarts,
        steps: &impl Steps<STEP>,
    ) -> ScanEnd {
        let Size { bytes: base, words: before } = self.size;
        let segment = &text[..text.len().min(most)];
        let last = segment.len().saturating_sub(STEP);
        let mut words = before;
        let (mut was_letter, mut was_word) = (0, 0); // whether the last byte was one, for the next step
        let mut has_contraction = false;
        let mut stop = None;
        let mut at = 0;
        while at < segment.len() {
            let from = at.min(last);
            let lower = self.lower[(base + from) & MASK..].first_chunk_mut();
            let starts = self.starts[words & MASK..].first_chunk_mut();
            let (Some(lower), Some(starts)) = (lower, starts) else { break }; // never
            let Masks { letters, digits, spaces, stops } = steps.classify_first(&segment[from..], lower);
            // Letters and others, of which a word begins where the one before is not of the same class.
            let in_words = !(digits | spaces) & u64::MAX >> (64 - STEP);
            let (after_letter, after_word) = (letters << 1 | was_letter, in_words << 1 | was_word);
            let begin = digits | in_words & !(after_word & !(after_letter ^ letters));
            let begin = begin & (u64::MAX << (at - from)); // what the step before has seen
            (was_letter, was_word) = (letters >> (STEP - 1), in_words >> (STEP - 1));
            steps.list::<8>(begin, (base + from) as u16, starts);
            words += begin.count_ones() as usize;
            if stops != 0 {
                let (first, contraction) = examine_stops(stops, &text[from..], token_starts);
                has_contraction |= contraction;
                stop = first.map(|within| from + within);
                if stop.is_some() {
                    break;
                }
            }
            at += STEP;
        }
        let (mut end, mut result) = (segment.len(), ScanEnd::End);
        if stop.is_some() || segment.len() < text.len() {
            let stop = stop.unwrap_or(segment.len());
            end = text[..stop].iter().rposition(|&byte| is_space(byte)).unwrap_or(0);
            while words > before && usize::from(self.starts[(words - 1) & MASK]) >= base + end {
                words -= 1;
            }
            result = if stop == segment.len() && end > 0 { ScanEnd::Segment(end) } else { ScanEnd::Other(end, stop) };
        }
        if has_contraction {
            words = before + join_contractions(&mut self.starts[before..words], base + end, &self.lower, false);
        }
        self.starts[words & MASK] = (base + end) as u16;
        self.starts[(words & MASK) + 1] = STARTS_PADDING;
        self.lower[(base + segment.len()) & MASK..][..GAP].fill(0);
        self.size = Size { bytes: base + segment.len() + GAP, words };
        result
    }
}

/// The position of the first of `stops` that ends the scan: NUL, beyond ASCII, or where a token may really begin. And
/// whether a contraction may begin before it.
#[cold]
#[inline(never)]
fn examine_stops(mut stops: u64, text: &[u8], token_starts: &TokenStarts) -> (Option<usize>, bool) {
    let mut contraction = false;
    while stops != 0 {
        let at = stops.trailing_zeros() as usize;
        let [byte, behind @ ..] = text.get(at..).unwrap_or_default() else { break }; // the padding of a short text
        if *byte == 0 || !byte.is_ascii() || token_starts.may_begin(&text[at..]) {
            return (Some(at), contraction);
        }
        contraction |= *byte == b'\'' && behind.first().is_some_and(u8::is_ascii_alphabetic);
        stops &= stops - 1;
    }
    (None, contraction)
}

/// A scan, given the steps of a set of instructions.
trait StepTask {
    type Output;
    fn run<const STEP: usize>(self, steps: &impl Steps<STEP>) -> Self::Output;
}

/// Runs a scan with a set's steps, inside a task that is compiled for the set.
#[inline(always)]
fn run_steps<S: Set, T: StepTask>(stops: &ByteSet, task: T) -> T::Output {
    match S::INSTRUCTIONS {
        Instructions::Plain => task.run(&PlainSteps(stops)),
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon => vector128::run::<neon::Neon, _>(stops, task),
        #[cfg(target_arch = "x86_64")]
        Instructions::Sse => vector128::run::<sse::Sse, _>(stops, task),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => avx2::run(stops, task),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => avx512::run(stops, task),
    }
}

/// How a set of instructions scans `STEP` bytes at once.
trait Steps<const STEP: usize> {
    /// Classifies `input` and writes it in lower case, with zeros for white space.
    fn classify(&self, input: &[u8; STEP], lower: &mut [u8; STEP]) -> Masks;

    /// Writes the position of each bit, plus `offset`; the first so many, a multiple of eight, without a branch. What it
    /// writes behind the last one means nothing.
    fn list<const FIRST: usize>(&self, bits: u64, offset: u16, offsets: &mut [u16; BLOCK]);

    /// [`Steps::classify`] for the first bytes of a text. Missing ones are white space.
    #[inline(always)]
    fn classify_first(&self, text: &[u8], lower: &mut [u8; STEP]) -> Masks {
        if let Some(whole) = text.first_chunk() {
            return self.classify(whole, lower);
        }
        let mut padded = [b' '; STEP];
        padded[..text.len()].copy_from_slice(text);
        self.classify(&padded, lower)
    }
}

/// Steps without vector instructions, given the bytes to stop at.
struct PlainSteps<'s>(&'s ByteSet);

impl Steps<BLOCK> for PlainSteps<'_> {
    fn classify(&self, input: &[u8; BLOCK], lower: &mut [u8; BLOCK]) -> Masks {
        let mut masks = Masks::default();
        for (i, (&byte, lower)) in input.iter().zip(lower).enumerate() {
            *lower = if is_space(byte) { 0 } else { byte.to_ascii_lowercase() };
            masks.letters |= u64::from(byte.is_ascii_alphabetic()) << i;
            masks.digits |= u64::from(byte.is_ascii_digit()) << i;
            masks.spaces |= u64::from(is_space(byte)) << i;
            masks.stops |= u64::from(byte == 0 || !byte.is_ascii() || self.0.contains(byte)) << i;
        }
        masks
    }

    fn list<const FIRST: usize>(&self, mut bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
        for slot in &mut offsets[..bits.count_ones() as usize] {
            *slot = offset + bits.trailing_zeros() as u16;
            bits &= bits.wrapping_sub(1);
        }
    }
}

/// [`Steps::list`] in groups of eight, the first of them unconditionally: a loop that ends after each bit is mispredicted once
/// per block. What is written behind the last position means nothing.
#[inline(always)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn list_offsets<const FIRST: usize>(mut bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
    let count = bits.count_ones() as usize;
    let mut list = |group: &mut [u16; 8]| {
        for slot in group {
            *slot = offset.wrapping_add(bits.trailing_zeros() as u16);
            bits &= bits.wrapping_sub(1);
        }
    };
    let (first, others) = offsets.as_chunks_mut().0.split_at_mut(FIRST / 8);
    first.iter_mut().for_each(&mut list);
    if count > FIRST {
        others[..(count - FIRST).div_ceil(8)].iter_mut().for_each(list);
    }
}

/// Whether `text` is ASCII without a byte of `set`.
pub(crate) fn is_ascii_without(text: &[u8], set: &ByteSet, instructions: Instructions) -> bool {
    match instructions {
        Instructions::Plain => text.iter().all(|&byte| byte.is_ascii() && !set.contains(byte)),
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon => vector128::is_ascii_without::<neon::Neon>(text, set),
        #[cfg(target_arch = "x86_64")]
        Instructions::Sse => instructions.run(
            #[inline(always)]
            || vector128::is_ascii_without::<sse::Sse>(text, set),
        ),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 | Instructions::Avx512 => avx2::is_ascii_without(text, set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use proptest::prelude::*;

    fn words(text: &str, instructions: Instructions) -> (Vec<String>, ScanEnd) {
        let token_starts = TokenStarts::new(&[], Profile::Transformers);
        let mut scan = Scan::default();
        scan.append(b"before it", SEGMENT, &token_starts, instructions);
        let before = scan.size().words;
        let stop = scan.append(text.as_bytes(), SEGMENT, &token_starts, instructions);
        let word = |limits: &[u16]| {
            let word = &scan.lower()[limits[0].into()..limits[1].into()];
            String::from_utf8(word.split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap()
        };
        (scan.words()[before..].windows(2).map(word).collect(), stop)
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

    /// What a longer text has left in the buffers is no part of a word.
    #[test]
    fn nothing_is_left_of_the_text_before() {
        let token_starts = TokenStarts::new(&[], Profile::Transformers);
        for instructions in Instructions::available() {
            let mut scan = Scan::default();
            for count in 0..150 {
                scan.truncate(Size::default());
                scan.append("xy ".repeat(170).as_bytes(), SEGMENT, &token_starts, instructions);
                scan.truncate(Size::default());
                let text = format!("{}photograph", "a ".repeat(count));
                assert_eq!(scan.append(text.as_bytes(), SEGMENT, &token_starts, instructions), ScanEnd::End);
                let [.., start, end] = *scan.words() else { panic!("no words") };
                assert_eq!(
                    (scan.words().len(), usize::from(start), usize::from(end)),
                    (count + 2, 2 * count, text.len())
                );
                let behind = &scan.lower()[text.len()..][..GAP];
                assert!(
                    scan.lower().starts_with(text.replace(' ', "\0").as_bytes())
                        && behind.iter().all(|&byte| byte == 0)
                );
            }
        }
    }

    #[test]
    fn a_word_for_each_digit() {
        for instructions in Instructions::available() {
            assert_eq!(words(&"1".repeat(200), instructions), (vec!["1".to_owned(); 200], ScanEnd::End));
        }
    }

    #[test]
    fn ascii_is_known_by_every_set_of_instructions() {
        let mut set = ByteSet::default();
        set.insert(b'&');
        for instructions in Instructions::available() {
            let without = |text: &str| is_ascii_without(text.as_bytes(), &set, instructions);
            for length in [1, 15, 16, 31, 32, 33, 64, 100] {
                assert!(without(&"a".repeat(length)));
                assert!(!without(&"&".repeat(length)));
                assert!(
                    !without(&format!("{}&", "a".repeat(length))) && !without(&format!("{}\u{e9}", "a".repeat(length)))
                );
            }
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
