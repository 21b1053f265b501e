//! Bytes that are nearly UTF-8: what mojibake has lost is put back, and the variants of UTF-8 are read.

/// Whether a byte may stand before or behind a space that was byte A0. 85 is left out: it is an ellipsis more often.
fn beside_space(byte: u8) -> bool {
    matches!(byte, 0x80..=0x84 | 0x86..=0x9F | 0xA1..=0xBF)
}

fn continues(byte: u8) -> bool {
    matches!(byte, 0x80..=0xBF)
}

/// The length of a sequence at the beginning of `bytes` that would be likely UTF-8 if its one space were byte A0.
fn altered(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [0xC2 | 0xC3 | 0xC5 | 0xCE | 0xD0 | 0xD9, b' ', ..] => Some(2),
        [0xE2 | 0xE3, b' ', c, ..] if beside_space(c) => Some(3),
        [0xE0..=0xE3, b, b' ', ..] if beside_space(b) => Some(3),
        [0xF0, b' ', c, d, ..] if continues(c) && continues(d) => Some(4),
        [0xF0, b, b' ', d, ..] if continues(b) && continues(d) => Some(4),
        [0xF0, b, c, b' ', ..] if continues(b) && continues(c) => Some(4),
        _ => None,
    }
}

/// Turns spaces back into the byte A0 where that makes likely UTF-8 of what stands there.
///
/// An `à` by itself keeps its space behind it, but for the Portuguese words that begin with one.
pub(super) fn restore_a0(bytes: &mut Vec<u8>) {
    if !(0..bytes.len()).any(|at| altered(&bytes[at..]).is_some()) {
        return;
    }
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut at = 0;
    while at < bytes.len() {
        if let [0xC3, b' ', rest @ ..] = &bytes[at..]
            && ![&b" "[..], b"quele", b"quela", b"quilo", b"s "].iter().any(|word| rest.starts_with(word))
        {
            out.extend([0xC3, 0xA0, b' ']);
            at += 2;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    let mut at = 0;
    while at < out.len() {
        let length = altered(&out[at..]).unwrap_or(0);
        out[at..at + length].iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = 0xA0);
        at += length.max(1);
    }
    *bytes = out;
}

/// A byte that was lost (1A), as a place where a question mark may stand for it too.
fn lost(byte: u8) -> bool {
    matches!(byte, 0x1A | b'?')
}

/// A lost byte, or one that continues a sequence.
fn lost_or_continues(byte: u8) -> bool {
    byte == 0x1A || continues(byte)
}

/// The length of a sequence of UTF-8 at the beginning of `bytes`, some of which was lost.
fn lossy(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [0xC2..=0xDF, 0x1A, ..] | [0xC2 | 0xC3, b'?', ..] => Some(2),
        [0xED, 0xA0..=0xAF, c, 0xED, 0xB0..=0xBF, f, ..]
            if lost(c) && (lost(f) || continues(f)) || lost(f) && (lost(c) || continues(c)) =>
        {
            Some(6)
        }
        [0xE0..=0xEF, b, c, ..] if lost(b) && lost_or_continues(c) || lost_or_continues(b) && lost(c) => Some(3),
        [0xF0..=0xF4, b, c, d, ..]
            if [[b, c, d], [c, b, d], [d, b, c]]
                .iter()
                .any(|&[b, c, d]| lost(b) && lost_or_continues(c) && lost_or_continues(d)) =>
        {
            Some(4)
        }
        [0x1A, ..] => Some(1),
        _ => None,
    }
}

/// Puts U+FFFD where a sequence has lost bytes.
pub(super) fn replace_lossy(bytes: &mut Vec<u8>) {
    if !bytes.iter().any(|&byte| lost(byte)) {
        return;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if let Some(length) = lossy(&bytes[at..]) {
            out.extend("\u{FFFD}".bytes());
            at += length;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    *bytes = out;
}

/// Reads UTF-8, with Java's `C0 80` for U+0000 and with surrogate pairs in three bytes each (CESU-8).
pub(super) fn decode(bytes: Vec<u8>) -> Option<String> {
    if !bytes.iter().any(|byte| matches!(byte, 0xC0 | 0xED)) {
        return String::from_utf8(bytes).ok();
    }
    let mut out = String::with_capacity(bytes.len());
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        // The reference's expression takes a line's end for the text's end: there it may stand for the last byte.
        let (c, length) = match bytes[at..] {
            [0xC0, 0x80, ..] | [0xC0, b'\n'] => ('\0', 2),
            [0xED, 0xA0..=0xAF, 0x80..=0xBF, 0xED, 0xB0..=0xBF, 0x80..=0xBF, ..]
            | [0xED, 0xA0..=0xAF, 0x80..=0xBF, 0xED, 0xB0..=0xBF, b'\n'] => {
                let bits = |at: usize, mask: u8| u32::from(bytes[at] & mask);
                let (high, low) = (bits(at + 1, 15) << 6 | bits(at + 2, 63), bits(at + 4, 15) << 6 | bits(at + 5, 63));
                (char::from_u32(0x1_0000 + (high << 10 | low))?, 6)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        out.push_str(std::str::from_utf8(&bytes[from..at]).ok()?);
        out.push(c);
        at += length;
        from = at;
    }
    out.push_str(std::str::from_utf8(&bytes[from..]).ok()?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_back_what_was_lost() {
        let restored = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            restore_a0(&mut bytes);
            bytes
        };
        assert_eq!(restored(b"voil\xC3 le"), b"voil\xC3\xA0 le");
        assert_eq!(restored(b"\xC3 s \xC3  x"), b"\xC3\xA0s \xC3\xA0 x");
        assert_eq!(restored(b"\xE2 \x85"), b"\xE2 \x85");
        assert_eq!(restored(b"\xF0 \x80\xBF"), b"\xF0\xA0\x80\xBF");
        let mut bytes = b"\xE2\x80\x1A \xC3? \x1A ?".to_vec();
        replace_lossy(&mut bytes);
        assert_eq!(bytes, "\u{FFFD} \u{FFFD} \u{FFFD} ?".as_bytes());
    }

    #[test]
    fn reads_the_variants() {
        assert_eq!(decode(b"a\xC0\x80\xED\xA0\xBD\xED\xB8\x8D".to_vec()), Some("a\0\u{1F60D}".to_owned()));
        assert_eq!(decode("\u{D55C}".as_bytes().to_vec()), Some("\u{D55C}".to_owned()));
        assert_eq!(decode(b"\xC0\n".to_vec()), Some("\0".to_owned()));
        for bytes in [&b"\xC0"[..], b"\xC0a", b"\xED\xA0\xBD", b"\xED\xA0\xBDabc", b"\xC0\nx", b"\x80"] {
            assert_eq!(decode(bytes.to_vec()), None);
        }
    }
}
