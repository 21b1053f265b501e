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
pub(crate) const BYTES_IN_ID_ORDER: [u8; 256] = {
    let (mut bytes, mut count, mut code) = ([0; 256], 0, 0);
    while code < 2 * 256 {
        let byte = code as u8;
        if is_printable(byte) == (code < 256) {
            bytes[count] = byte;
            count += 1;
        }
        code += 1;
    }
    bytes
};

/// The letter that stands for `byte`.
pub(crate) fn letter(byte: u8) -> char {
    if is_printable(byte) {
        return byte.into();
    }
    let rank = (0..byte).filter(|&b| !is_printable(b)).count() as u32;
    char::from_u32(256 + rank).unwrap_or_default()
}

/// The byte of each letter, by code point.
static BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let (mut code, mut others) = (0, 0x100);
    while code < 0x100 {
        let byte = code as u8;
        if is_printable(byte) {
            bytes[code] = Some(byte);
        } else {
            bytes[others] = Some(byte);
            others += 1;
        }
        code += 1;
    }
    bytes
};

/// The byte for which `letter` stands, if it stands for one.
pub(crate) fn byte(letter: char) -> Option<u8> {
    *BYTES.get(letter as usize)?
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
