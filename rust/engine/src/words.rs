//! Words as offsets into a lowercased text, and how contractions are joined.
//!
//! The scans write white space as zeros, so a word is given by its start alone: it ends at the next zero or where the next
//! word starts. A text that holds NUL itself takes the general path.

/// The white space among ASCII: what `\s` matches in both references.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// How many bytes after an apostrophe belong to a contraction (`'s`, `'t`, `'re`, `'ve`, `'m`, `'ll`, `'d`).
///
/// `long_s`: whether U+017F counts as an s, as it does for the regex package, which matches without case.
pub(crate) fn contraction(rest: &[u8], long_s: bool) -> Option<usize> {
    match rest {
        [b's' | b't' | b'm' | b'd', ..] => Some(1),
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => Some(2),
        [0xC5, 0xBF, ..] if long_s => Some(2),
        _ => None,
    }
}

/// Joins contractions: a word that is a lone apostrophe takes the contraction's letters from the word right behind it,
/// which then begins later or disappears. Works in place and returns how many words remain.
///
/// `starts` are the offsets of words in `lower`, where white space is zeros and the last word ends before `end`.
pub(crate) fn join_contractions(starts: &mut [u16], end: usize, lower: &[u8], long_s: bool) -> usize {
    let mut kept = 0;
    let mut i = 0;
    while i < starts.len() {
        let start: usize = starts[i].into();
        starts[kept] = starts[i];
        if lower[start] == b'\'' && i + 1 < starts.len() && usize::from(starts[i + 1]) == start + 1 {
            let limit = starts.get(i + 2).map_or(end, |&next| next.into());
            if let Some(length) = contraction(&lower[start + 1..limit], long_s) {
                let joined = start + 1 + length;
                starts[i + 1] = joined as u16;
                if joined == limit || lower[joined] == 0 {
                    i += 1; // the contraction took the whole word
                }
            }
        }
        kept += 1;
        i += 1;
    }
    kept
}
