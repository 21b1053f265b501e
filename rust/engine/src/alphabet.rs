//! The byte alphabet of GPT-2: the printable letters in which byte-level vocabularies spell bytes.
//!
//! Printable Latin-1 bytes stand for themselves; the other 68 are the code points from 256 on, in order. CLIP's first 256
//! tokens are in that order too: printable bytes first.

/// The suffix of a word's last symbol.
pub(crate) const END_OF_WORD: &str = "</w>";

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The bytes in the order of CLIP's first 256 ids.
pub(crate) fn bytes_in_id_order() -> impl Iterator<Item = u8> {
    (0..=255).filter(|&b| is_printable(b)).chain((0..=255).filter(|&b| !is_printable(b)))
}

/// The letter that stands for `byte`.
pub(crate) fn letter(byte: u8) -> char {
    if is_printable(byte) {
        return byte.into();
    }
    let rank = (0..byte).filter(|&b| !is_printable(b)).count() as u32;
    char::from_u32(256 + rank).unwrap_or_default()
}

/// The byte for which `letter` stands, if it stands for one.
pub(crate) fn byte(letter: char) -> Option<u8> {
    match u32::from(letter) {
        c @ 0..=255 => Some(c as u8).filter(|&b| is_printable(b)),
        c => (0..=255).filter(|&b| !is_printable(b)).nth((c - 256) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_a_bijection() {
        for b in 0..=255 {
            assert_eq!(byte(letter(b)), Some(b));
        }
        assert_eq!((letter(b'a'), letter(b' '), letter(0xAD)), ('a', '\u{120}', '\u{143}'));
        assert_eq!(byte('\u{144}'), None);
        assert_eq!(byte(' '), None);
    }
}
