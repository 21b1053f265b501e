//! The references' properties of each code point: tables that `scripts/make_unicode.py` generates from the references.
//!
//! A table is two-level: one byte per 256 code points names a page, and a page holds 16 bits per code point:
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0, 1 | class: other, letter, number, white space |
//! | 2 | changes when lowercased |
//! | 3 to 8 | canonical combining class, as a rank that keeps the order |
//! | 9 | NFC may change it, or join it to what stands before |
//! | 10 to 14 | cleaning class: 0 nothing to clean, 31 to be cleaned, else a row of the table of mojibake pairs |

use crate::byte_set::ByteSet;
use unicode_normalization_alignments::char::{compose, decompose_canonical};

/// How the pre-tokenizer classifies a code point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Punctuation, symbols, marks, controls.
    Other,
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
}

/// The table's entry of one code point.
#[derive(Clone, Copy)]
pub(crate) struct Properties(u16);

const CLASS: u16 = 3;
/// The bit of their class that neither letters nor others have.
const NUMBER_OR_SPACE: u16 = 2;
const LOWERS: u16 = 1 << 2;
const COMBINING: u16 = 63 << 3;
const COMPOSES: u16 = 1 << 9;
const CLEANING_SUSPECT: u32 = 31;

impl Properties {
    #[inline]
    pub(crate) fn class(self) -> Class {
        match self.0 & CLASS {
            0 => Class::Other,
            1 => Class::Letter,
            2 => Class::Number,
            _ => Class::Space,
        }
    }

    #[inline]
    pub(crate) fn lowers(self) -> bool {
        self.0 & LOWERS != 0
    }

    #[inline]
    pub(crate) fn combining(self) -> u16 {
        (self.0 & COMBINING) >> 3
    }

    #[inline]
    pub(crate) fn composes(self) -> bool {
        self.0 & COMPOSES != 0
    }

    /// Whether it is a letter, of a letter or other that neither lower case nor NFC changes; where NFC is checked, a
    /// combining mark must still be in order. `None` of any other.
    #[inline]
    pub(crate) fn simple(self, checks_nfc: bool) -> Option<bool> {
        let changes = if checks_nfc { LOWERS | COMPOSES } else { LOWERS };
        (self.0 & (changes | NUMBER_OR_SPACE) == 0).then_some(self.0 & CLASS != 0)
    }

    #[inline]
    fn cleaning(self) -> u32 {
        u32::from(self.0 >> 10 & 31)
    }
}

/// One reference's view of Unicode.
#[derive(Debug)]
pub(crate) struct Table {
    pages: &'static [u8],
    two_bytes: [TwoBytes; 1 << 11],
}

/// Oniguruma inside tokenizers: the `transformers` profile.
pub(crate) static ONIG: Table = Table::new(include_bytes!("../data/onig.bin"));
/// The regex package, and what ftfy, html and `str.lower` could change: the other profiles.
pub(crate) static REGEX: Table = Table::new(include_bytes!("../data/regex.bin"));

/// What becomes of a code point of two bytes, in one look-up: its lower case in bits 0 to 15 as UTF-8, its class in bits 16
/// and 17. [`TwoBytes::OTHER`] where it needs more care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TwoBytes(u32);

impl TwoBytes {
    /// One that NFC may change or reorder, or whose lower case does not have two bytes.
    const OTHER: Self = Self(u32::MAX);

    /// The lower case of a letter or other, and one bit for each byte of a letter. `None` of a number, white space, and
    /// one that needs more care.
    #[inline]
    pub(crate) fn simple(self) -> Option<([u8; 2], u64)> {
        let [first, second, ..] = self.0.to_le_bytes();
        let class = self.0 >> 16;
        (class < u32::from(NUMBER_OR_SPACE)).then_some(([first, second], u64::from(3 * class)))
    }
}

const PAGES: usize = 0x11_0000 / 256;
static LOWERCASE: &[u8] = include_bytes!("../data/lowercase.bin");
static MOJIBAKE: &[u8] = include_bytes!("../data/mojibake.bin");

impl Table {
    const fn new(pages: &'static [u8]) -> Self {
        let mut two_bytes = [TwoBytes::OTHER; 1 << 11];
        let mut c = 0x80;
        while c < two_bytes.len() {
            let found = properties(pages, c).0;
            let lower = if found & LOWERS == 0 { c as u32 } else { lowercase_one(c as u32) };
            if found & (COMBINING | COMPOSES) == 0 && lower >= 0x80 && lower < 0x800 {
                let class = (properties(pages, lower as usize).0 & CLASS) as u32;
                two_bytes[c] = TwoBytes(class << 16 | (0x80 | lower & 0x3F) << 8 | (0xC0 | lower >> 6));
            }
            c += 1;
        }
        Self { pages, two_bytes }
    }

    /// `c` is a `char` or its number.
    #[inline]
    pub(crate) fn get(&self, c: impl Into<u32>) -> Properties {
        properties(self.pages, c.into() as usize)
    }

    /// What becomes of the code point with these two bytes in UTF-8.
    #[inline]
    pub(crate) fn two_bytes(&self, first: u8, second: u8) -> TwoBytes {
        self.two_bytes[usize::from(first & 0x1F) << 6 | usize::from(second & 0x3F)]
    }
}

impl Table {
    /// The properties of the code point with these three bytes in UTF-8.
    #[inline]
    pub(crate) fn three_bytes(&self, first: u8, second: u8, third: u8) -> Properties {
        let [first, second, third] = [first & 0x0F, second & 0x3F, third & 0x3F].map(u32::from);
        self.get(first << 12 | second << 6 | third)
    }

    /// Whether NFC leaves a text alone at `c`, which stands right behind `before`, and which it may change or join to what
    /// stands before. May say no where it does.
    pub(crate) fn stays_in_nfc(&self, before: Option<char>, c: char) -> bool {
        let decomposes = |c: char| {
            let mut same = true;
            decompose_canonical(c, |part| same &= part == c);
            !same
        };
        if decomposes(c) {
            return false;
        }
        // Behind nothing it has nothing to join. A mark joins the last starter, over marks between them and out of
        // composed characters; whatever is no mark joins only what is right before it.
        let Some(before) = before else { return true };
        let is_mark = |c: char| self.get(c).combining() != 0;
        compose(before, c).is_none() && !(is_mark(c) && (is_mark(before) || decomposes(before)))
    }
}

#[inline]
const fn properties(pages: &[u8], c: usize) -> Properties {
    let at = PAGES + 2 * (256 * pages[c >> 8] as usize + (c & 255));
    Properties(u16::from_le_bytes([pages[at], pages[at + 1]]))
}

/// The lowercase of one code point, as tokenizers maps it: no context, so no final sigma.
pub(crate) fn lowercase(c: char) -> [Option<char>; 2] {
    if c == '\u{130}' {
        return [Some('i'), Some('\u{307}')]; // the one mapping to two code points
    }
    [char::from_u32(lowercase_one(c as u32)), None]
}

/// [`lowercase`] of a code point that maps to one.
const fn lowercase_one(c: u32) -> u32 {
    const fn word(at: usize) -> u32 {
        u32::from_le_bytes([LOWERCASE[at], LOWERCASE[at + 1], LOWERCASE[at + 2], LOWERCASE[at + 3]])
    }
    let (mut low, mut high) = (0, LOWERCASE.len() / 8);
    while low < high {
        let middle = usize::midpoint(low, high);
        let from = word(8 * middle);
        if from == c {
            return word(8 * middle + 4);
        }
        (low, high) = if from < c { (middle + 1, high) } else { (low, middle) };
    }
    c
}

/// The last combining mark of a text: where it ends, and its class.
#[derive(Default)]
pub(crate) struct Marks {
    end: usize,
    combining: u16,
}

impl Marks {
    /// Takes the next mark, of `count` bytes at `at`. Returns false when NFC puts it before the last one.
    #[inline]
    pub(crate) fn follows(&mut self, at: usize, count: usize, combining: u16) -> bool {
        let ordered = self.end != at || self.combining <= combining;
        *self = Self { end: at + count, combining };
        ordered
    }
}

/// Checks, code point by code point, that a text is in NFC already (the quick check of Unicode Annex 15, section 9). It
/// may reject a text that is in NFC, but never accepts one that is not.
#[derive(Default)]
pub(crate) struct NfcCheck {
    last: u16,
}

impl NfcCheck {
    /// Returns false when NFC may change the text up to this code point.
    #[inline]
    pub(crate) fn allows(&mut self, properties: Properties) -> bool {
        let combining = properties.combining();
        let ordered = combining == 0 || self.last <= combining;
        self.last = combining;
        ordered && !properties.composes()
    }
}

/// Whether ftfy's test for mojibake may need a character of the one class behind one of the other.
#[inline(always)]
fn may_be_mojibake(last: u32, next: u32) -> bool {
    if last == 0 || next == 0 {
        return false; // which holds for nearly all, and is in the table too
    }
    let row = 4 * last as usize;
    let followers = u32::from_le_bytes([MOJIBAKE[row], MOJIBAKE[row + 1], MOJIBAKE[row + 2], MOJIBAKE[row + 3]]);
    followers & 1 << next != 0
}

/// Whether ftfy, html or Python's `str.lower` could change `text` beyond what the engine does itself.
///
/// False is a proof that they could not: no code point that one of them changes by itself, no entity, nothing for NFC,
/// and no two neighbours that ftfy's test for mojibake needs one of, so ftfy does not try encodings.
pub(crate) fn needs_cleaning(text: &str) -> bool {
    let mut nfc = NfcCheck::default();
    let mut last = 0;
    for (at, c) in text.char_indices() {
        let properties = REGEX.get(c);
        let cleaning = properties.cleaning();
        if cleaning == CLEANING_SUSPECT {
            if c == '&' && ampersand_stays(&text.as_bytes()[at + 1..]) {
                last = 0;
                nfc = NfcCheck::default();
                continue;
            }
            return true;
        }
        if may_be_mojibake(last, cleaning) || !nfc.allows(properties) {
            return true;
        }
        last = cleaning;
    }
    false
}

/// The ASCII bytes for which [`needs_cleaning`] may return true.
pub(crate) fn ascii_suspects() -> ByteSet {
    let mut set = ByteSet::default();
    (0..128).filter(|&byte| REGEX.get(byte).cleaning() != 0).for_each(|byte| set.insert(byte));
    set
}

/// Whether `html.unescape` leaves an ampersand before this alone: its pattern requires something else to follow.
fn ampersand_stays(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b' ' | b'\t' | b'\n' | 0x0C | b'<' | b'&' | b';'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization_alignments::UnicodeNormalization;

    #[test]
    fn lowers_as_the_standard_library_does() {
        for c in (0x80..0x3000).filter_map(char::from_u32).filter(|&c| ONIG.get(c).lowers()) {
            assert!(lowercase(c).into_iter().flatten().eq(c.to_lowercase()), "{c:?}");
        }
        assert_eq!(
            ["\u{c9}", "\u{416}", "\u{1e9e}"].map(|c| lowercase(c.chars().next().unwrap())[0].unwrap()),
            ['\u{e9}', '\u{436}', '\u{df}']
        );
        assert!(ONIG.get('\u{c9}').lowers() && !ONIG.get('\u{e9}').lowers());
    }

    /// Marks behind each other: what is allowed stays as it is in NFC, and marks in order are allowed.
    #[test]
    fn what_the_quick_check_allows_is_in_nfc() {
        let marks: Vec<char> =
            ('\u{300}'..'\u{e50}').filter(|&c| ONIG.get(c).combining() != 0 && !ONIG.get(c).composes()).collect();
        assert!(marks.len() > 100);
        let mut allowed = 0;
        for &first in &marks {
            for &second in marks.iter().step_by(5) {
                let (text, mut check) = ([first, second], NfcCheck::default());
                if text.iter().all(|&c| check.allows(ONIG.get(c))) {
                    assert!(text.into_iter().nfc().map(|(c, _)| c).eq(text), "{text:?}");
                    allowed += 1;
                }
            }
        }
        assert!(allowed > marks.len() * marks.len() / 5 / 2);
        let mut check = NfcCheck::default();
        assert!("\u{5d0}\u{5b0}\u{5bc}\u{5d1}\u{5b0}".chars().all(|c| check.allows(ONIG.get(c))));
    }
}
