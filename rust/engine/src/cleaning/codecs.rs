//! The codecs with one byte a character that ftfy tries, some of them sloppy: bytes without a character stand for
//! themselves, and U+FFFD is byte 1A.

use super::tables::character;
use std::sync::LazyLock;

/// How many codecs there are.
pub(super) const CODECS: usize = 10;
/// The sloppy codec of Windows-1252.
const WINDOWS_1252: usize = 1;
/// macOS's, in which a space may follow an en dash.
pub(super) const MACROMAN: usize = 8;

/// Whether a codec is a sloppy one.
pub(super) fn is_sloppy(codec: usize) -> bool {
    (1..=6).contains(&codec)
}

/// What a character is in the codecs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Encoded {
    /// Which codecs have it, a bit each.
    pub(super) codecs: u16,
    /// Which places of a sequence of UTF-8 it may be, by ftfy's clues, a bit each.
    clues: u8,
    bytes: [u8; CODECS],
}

impl Encoded {
    /// Whether it may be the first of a sequence of 2, 3 or 4.
    pub(super) fn begins(self, length: usize) -> bool {
        self.clues >> (length - 2) & 1 != 0
    }

    /// Whether it may be any other, or a space in its place.
    pub(super) fn continues(self) -> bool {
        self.clues & 8 != 0
    }

    /// Whether it hardly stands for itself behind other mojibake.
    pub(super) fn continues_strictly(self) -> bool {
        self.clues & 16 != 0
    }

    pub(super) fn byte(self, codec: usize) -> u8 {
        self.bytes[codec]
    }
}

/// What is known of the first 65,536 code points: a page number per 256, and the pages. ASCII but for the space and 1A is
/// not in it.
struct Table {
    index: [u8; 256],
    pages: Vec<[Encoded; 256]>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { index: [0; 256], pages: vec![[Encoded::default(); 256]] };
    for line in include_str!("../../data/cleaning/mojibake.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let c = words.next().map_or(0, |word| character(word) as usize);
        let mut entry = Encoded { clues: byte(words.next()).unwrap_or(0), ..Encoded::default() };
        for (codec, slot) in entry.bytes.iter_mut().enumerate() {
            if let Some(byte) = byte(words.next()) {
                *slot = byte;
                entry.codecs |= 1 << codec;
            }
        }
        if table.index[c >> 8] == 0 {
            table.index[c >> 8] = table.pages.len() as u8;
            table.pages.push([Encoded::default(); 256]);
        }
        table.pages[usize::from(table.index[c >> 8])][c & 255] = entry;
    }
    table
});

fn byte(word: Option<&str>) -> Option<u8> {
    u8::from_str_radix(word?, 16).ok()
}

/// What a character is in the codecs.
pub(super) fn encoded(c: char) -> Encoded {
    const ALL: u16 = (1 << CODECS) - 1;
    if c.is_ascii() && c != ' ' && c != '\x1A' {
        return Encoded { codecs: ALL, clues: 0, bytes: [c as u8; CODECS] };
    }
    match TABLE.index.get(c as usize >> 8) {
        Some(&page) => TABLE.pages[usize::from(page)][c as usize & 255],
        None => Encoded::default(),
    }
}

/// The codecs that have every character of a text, a bit each.
pub(super) fn possible(text: &str) -> u16 {
    let mut all = u16::MAX;
    for c in text.chars().filter(|c| !c.is_ascii() || *c == '\x1A') {
        all &= encoded(c).codecs;
        if all == 0 {
            break;
        }
    }
    all
}

/// A text, all of whose characters the codec has.
pub(super) fn encode(text: &str, codec: usize) -> Vec<u8> {
    text.chars().map(|c| encoded(c).byte(codec)).collect()
}

/// A C1 control as Windows-1252 has it, or itself where that has none.
pub(super) fn windows_1252(control: char) -> char {
    static UPPER: LazyLock<[char; 32]> = LazyLock::new(|| {
        let mut upper = std::array::from_fn(|i| char::from(0x80 + i as u8));
        for c in (0x80..=u16::MAX).filter_map(|c| char::from_u32(c.into())) {
            let entry = encoded(c);
            if entry.codecs >> WINDOWS_1252 & 1 != 0
                && let Some(slot) =
                    entry.byte(WINDOWS_1252).checked_sub(0x80).and_then(|i| upper.get_mut(usize::from(i)))
            {
                *slot = c;
            }
        }
        upper
    });
    UPPER[control as usize - 0x80]
}
