//! The scan of plain ASCII: bytes to lower case, and where words begin and end, 64 bytes at a time and without a
//! branch per byte.
//!
//! Most text never needs more than this. The scan goes as far as the text is plain, and no further than a segment: a
//! stretch short enough that little is wasted when a row is full. It always ends at white space or at the text's end,
//! so what it found is whole words, and what follows can be read by itself: neither NFC nor the split ever joins
//! anything across white space.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::added::Marks;
use crate::split::contraction;

/// The most bytes of one scan.
pub(crate) const SEGMENT: usize = 512;
/// The most bytes of the scans that are kept side by side.
pub(crate) const ROOM: usize = 2048 + SEGMENT;
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
    /// 64 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// Those that this machine has, the best first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [(Self::Avx512, avx512::is_available()), (Self::Avx2, avx2::is_available())];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors: [(Self, bool); 0] = [];
        vectors.into_iter().filter_map(|(it, is_available)| is_available.then_some(it)).chain([Self::Plain])
    }

    /// Calls `task`, compiled for these instructions together with whatever is inlined into it.
    #[inline(always)]
    pub(crate) fn run<R>(self, task: impl FnOnce() -> R) -> R {
        match self {
            Self::Plain => task(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::run(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::run(task),
        }
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
    /// Not ASCII, or the first byte of a special or an added token.
    stops: u64,
}

/// The words of one or several scans, side by side.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The texts in lower case, and room to read beyond the last word.
    lower: [u8; ROOM + BLOCK + OVERREAD],
    /// Where words start and end in it, and room to write a block's beyond the last.
    starts: [u16; ROOM + 2 * BLOCK],
    ends: [u16; ROOM + 2 * BLOCK],
    /// How much of the above is in use.
    size: Size,
}

/// How many bytes and words scans have found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    pub(crate) words: usize,
}

impl Default for Scan {
    fn default() -> Self {
        let places = [0; ROOM + 2 * BLOCK];
        Self { lower: [0; ROOM + BLOCK + OVERREAD], starts: places, ends: places, size: Size::default() }
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
    /// Scans `text` from its beginning, and puts its words behind those that are here already, for which there must be
    /// room. Plain text ends at what is not ASCII, and where a special or an added token may begin.
    #[inline(always)]
    pub(crate) fn append(&mut self, text: &[u8], marks: &Marks, instructions: Instructions) -> Stop {
        match instructions {
            Instructions::Plain => {
                let classify = |input: &[u8], lower: &mut [u8; BLOCK]| plain_block(&padded(input), lower, &marks.first);
                self.append_with(text, marks, classify, list_places)
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2::append(self, text, marks),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512::append(self, text, marks),
        }
    }

    #[inline(always)]
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Forgets what was scanned after it had this size.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, size: Size) {
        self.size = size;
    }

    /// The texts in lower case, with room behind them.
    #[inline(always)]
    pub(crate) fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// Where the words start and where they end in [`Scan::lower`].
    #[inline(always)]
    pub(crate) fn words(&self) -> [&[u16]; 2] {
        [&self.starts[..self.size.words], &self.ends[..self.size.words]]
    }

    /// `classify` takes up to [`BLOCK`] bytes, behind which it sees white space, and writes them in lower case.
    /// `list` writes down the places of a block's bits, given the first place, and whatever it likes behind them.
    #[inline(always)]
    fn append_with(
        &mut self,
        text: &[u8],
        marks: &Marks,
        classify: impl Fn(&[u8], &mut [u8; BLOCK]) -> Masks,
        list: impl Fn(u64, u16, &mut [u16; BLOCK]),
    ) -> Stop {
        let Size { bytes: base, words: before } = self.size;
        let segment = text.len().min(SEGMENT);
        let (mut starts, mut ends) = (before, before);
        let (mut letter, mut other, mut inside) = (0, 0, 0); // the last byte's bits, for the next block
        let mut contractions = 0; // apostrophes that may begin one
        let mut stop = None;
        let mut at = 0;
        // One step more than the bytes need when they fill the last block, for the end of the last word.
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
                stop = first_stop(stops, &text[at..], marks).map(|within| at + within);
                if stop.is_some() {
                    break;
                }
            }
            at += BLOCK;
        }
        let mut words = ends.min(starts);
        let result = match stop {
            None if segment == text.len() => Stop::End,
            _ => {
                let stop = stop.unwrap_or(segment);
                let cut = text[..stop].iter().rposition(|&byte| is_space(byte)).unwrap_or(0);
                while words > before && usize::from(self.starts[words - 1]) >= base + cut {
                    words -= 1;
                }
                if stop == segment && cut > 0 { Stop::Segment(cut) } else { Stop::Other(cut, stop) }
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

/// The first of `stops` at which plain text does end, if it is in `text` and not in the padding behind.
#[cold]
fn first_stop(mut stops: u64, text: &[u8], marks: &Marks) -> Option<usize> {
    while stops != 0 {
        let at = stops.trailing_zeros() as usize;
        if !text.get(at)?.is_ascii() || marks.begin(&text[at..]) {
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

/// Writes down the places of `bits`.
#[inline(always)]
fn list_places(mut bits: u64, offset: u16, places: &mut [u16; BLOCK]) {
    for place in &mut places[..bits.count_ones() as usize] {
        *place = offset + bits.trailing_zeros() as u16;
        bits &= bits.wrapping_sub(1);
    }
}

/// `'s` and its like are one word where the apostrophe begins a run of punctuation: the letters behind them, if any are
/// left, are the next. So the word at a lone apostrophe ends later, and the next one begins later. Returns how many
/// words there are then.
pub(crate) fn join_contractions<P: Place>(starts: &mut [P], ends: &mut [P], lower: &[u8], long_s: bool) -> usize {
    let mut kept = 0;
    let mut i = 0;
    while i < starts.len() {
        let (start, end) = (starts[i].get(), ends[i].get());
        (starts[kept], ends[kept]) = (starts[i], ends[i]);
        if lower[start] == b'\'' && end == start + 1 && i + 1 < starts.len() {
            let (next, next_end) = (starts[i + 1].get(), ends[i + 1].get());
            if next == end
                && let Some(length) = contraction(&lower[next..next_end], long_s)
            {
                let joined = P::new(end + length);
                ends[kept] = joined;
                starts[i + 1] = joined;
                if joined.get() == next_end {
                    i += 1; // nothing is left of it
                }
            }
        }
        kept += 1;
        i += 1;
    }
    kept
}

/// A place in a text, in as few bytes as there are enough.
pub(crate) trait Place: Copy {
    /// `place` must fit, as it does between two that are places already.
    fn new(place: usize) -> Self;
    fn get(self) -> usize;
}

impl Place for u16 {
    fn new(place: usize) -> Self {
        place as Self
    }
    #[inline(always)]
    fn get(self) -> usize {
        self.into()
    }
}

impl Place for u32 {
    fn new(place: usize) -> Self {
        place as Self
    }
    #[inline(always)]
    fn get(self) -> usize {
        self as usize
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

/// The white space among ASCII: `\s` of both references.
pub(crate) const fn is_space(byte: u8) -> bool {
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
    use crate::profile::Profile;
    use proptest::prelude::*;

    fn words(text: &str, instructions: Instructions) -> (Vec<String>, Stop) {
        let marks = Marks::new(&[], Profile::Transformers);
        let mut scan = Scan::default();
        scan.append(b"before it", &marks, instructions);
        let before = scan.size().words;
        let stop = scan.append(text.as_bytes(), &marks, instructions);
        let [starts, ends] = scan.words().map(|places| &places[before..]);
        let word = |(&start, &end): (&u16, &u16)| scan.lower()[start.into()..end.into()].to_vec();
        (starts.iter().zip(ends).map(word).map(|word| String::from_utf8(word).unwrap()).collect(), stop)
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
        assert_eq!(all("a b<|c"), (vec!["a".to_owned()], Stop::Other(1, 3)));
        assert_eq!(all("a b<c <"), (["a", "b", "<", "c", "<"].map(str::to_owned).to_vec(), Stop::End));
        assert_eq!(all(&"x".repeat(600)).1, Stop::Other(0, SEGMENT));
        assert_eq!(all(&"xyz ".repeat(200)).1, Stop::Segment(511));
        for n in [63, 64, 65, 127, 128, 511, 512] {
            assert_eq!(all(&"x".repeat(n)), (vec!["x".repeat(n)], Stop::End));
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
