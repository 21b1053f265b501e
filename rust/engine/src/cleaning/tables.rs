//! What the cleaning knows of each code point, and the reading of the tables that `scripts/make_cleaning.py` wrote from
//! ftfy 6.3.1 and Python 3.11 (Unicode 14).
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0 to 7 | class in the test for mojibake (`badness`) |
//! | 8 | replaced by itself: C1 controls, ligatures, widths, quotes, line breaks |
//! | 9 | control character that is removed |
//! | 10 | NFC may change it, reorder it, or join it to what stands before |
//! | 11 | `str.lower` changes it |
//! | 12 | `str.isspace` |
//! | 13, 14 | cased and case-ignorable, for the final sigma |
//! | 15 | `\d` |

static CODE_POINTS: &[u8] = include_bytes!("../../data/cleaning/code_points.bin");
const PAGES: usize = 0x11_0000 / 256;

/// The table's entry of one code point, or several put together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags(u16);

impl Flags {
    #[inline]
    pub(super) fn of(c: char) -> Self {
        let c = c as usize;
        let at = PAGES + 2 * (256 * usize::from(CODE_POINTS[c >> 8]) + (c & 255));
        Self(u16::from_le_bytes([CODE_POINTS[at], CODE_POINTS[at + 1]]))
    }

    /// Those of all characters of a text together.
    pub(super) fn of_all(text: &str) -> Self {
        Self(text.chars().fold(0, |flags, c| flags | Self::of(c).0))
    }

    #[inline]
    pub(super) fn badness_class(self) -> u8 {
        self.0 as u8
    }

    #[inline]
    pub(super) fn is_replaced(self) -> bool {
        self.0 & 1 << 8 != 0
    }

    #[inline]
    pub(super) fn is_removed(self) -> bool {
        self.0 & 1 << 9 != 0
    }

    #[inline]
    pub(super) fn composes(self) -> bool {
        self.0 & 1 << 10 != 0
    }

    #[inline]
    pub(super) fn lowers(self) -> bool {
        self.0 & 1 << 11 != 0
    }

    #[inline]
    pub(super) fn is_space(self) -> bool {
        self.0 & 1 << 12 != 0
    }

    #[inline]
    pub(super) fn is_cased(self) -> bool {
        self.0 & 1 << 13 != 0
    }

    #[inline]
    pub(super) fn is_case_ignorable(self) -> bool {
        self.0 & 1 << 14 != 0
    }

    #[inline]
    pub(super) fn is_digit(self) -> bool {
        self.0 & 1 << 15 != 0
    }
}

/// A code point in hexadecimal, as the tables have it.
pub(super) fn character(hexadecimal: &str) -> char {
    u32::from_str_radix(hexadecimal, 16).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The code points of a line behind its first word.
pub(super) fn characters<'l>(words: impl Iterator<Item = &'l str>) -> String {
    words.map(character).collect()
}
