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
    let mut rest = &mut out[..];
    while !rest.is_empty() {
        let length = altered(rest);
        let (sequence, behind) = std::mem::take(&mut rest).split_at_mut(length.unwrap_or(1));
        if length.is_some() {
            sequence.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = 0xA0);
        }
        rest = behind;
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

    /// ftfy's own expressions, on all sequences of bytes that they tell apart.
    #[test]
    fn sequences_are_those_of_the_reference() {
        use regex::bytes::Regex;
        let altered_there = r"(?-u)^(?:[\xc2\xc3\xc5\xce\xd0\xd9][ ]|[\xe2\xe3][ ][\x80-\x84\x86-\x9f\xa1-\xbf]|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf][ ]|[\xf0][ ][\x80-\xbf][\x80-\xbf]|[\xf0][\x80-\xbf][ ][\x80-\xbf]|[\xf0][\x80-\xbf][\x80-\xbf][ ])";
        let lossy_there = r"(?-u)^(?:[\xc2-\xdf][\x1a]|[\xc2-\xc3][?]|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]|\x1a)";
        let (altered_there, lossy_there) = (Regex::new(altered_there).unwrap(), Regex::new(lossy_there).unwrap());
        let length = |regex: &Regex, bytes: &[u8]| regex.find(bytes).map(|found| found.len());
        for first in 0..=255 {
            for rest in 0..4usize.pow(3) {
                let bytes: Vec<u8> =
                    [first].into_iter().chain([0, 1, 2].map(|at| b" \x1A?a"[rest / 4usize.pow(at) % 4])).collect();
                assert_eq!(altered(&bytes), length(&altered_there, &bytes), "{bytes:X?}");
                assert_eq!(lossy(&bytes), length(&lossy_there, &bytes), "{bytes:X?}");
            }
        }
        // What stands behind the first byte: both ends of each range.
        let then = b" \x1A?a\x7F\x80\x84\x85\x86\x9F\xA0\xA1\xAF\xB0\xBF\xC0\xED";
        let mut bytes = [0; 6];
        for first in b"\xC2\xD9\xDF\xE0\xE2\xE4\xED\xEF\xF0\xF4\xF5" {
            for rest in 0..then.len().pow(3) {
                bytes[0] = *first;
                (1..4).for_each(|at| bytes[at] = then[rest / then.len().pow(at as u32 - 1) % then.len()]);
                for end in if bytes[3] == 0xED { 0..then.len().pow(2) } else { 0..1 } {
                    (bytes[4], bytes[5]) = (then[end % then.len()], then[end / then.len()]);
                    assert_eq!(altered(&bytes), length(&altered_there, &bytes), "{bytes:X?}");
                    assert_eq!(lossy(&bytes), length(&lossy_there, &bytes), "{bytes:X?}");
                }
            }
        }
    }

    /// Every code point beyond the first plane, as two surrogates of three bytes each.
    #[test]
    fn surrogates_are_joined() {
        for c in (0x1_0000..=0x10_FFFF).step_by(251).chain([0x10_FFFF]).filter_map(char::from_u32) {
            let mut units = [0; 2];
            let bytes = c.encode_utf16(&mut units).iter().flat_map(|unit| {
                [0xE0 | unit >> 12, 0x80 | unit >> 6 & 0x3F, 0x80 | unit & 0x3F].map(|byte| byte as u8)
            });
            assert_eq!(decode(bytes.collect()), Some(c.to_string()), "{c:?}");
        }
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
