//! Words as offsets into a lowercased text, and how contractions are joined to them.

/// The white space among ASCII: what `\s` matches in both references.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A byte offset into a text, stored as the smallest integer that suffices: `u16` in the ASCII scan, `u32` beyond.
pub(crate) trait Offset: Copy {
    /// Truncates: the caller knows that `offset` fits, since it lies between two stored ones.
    fn new(offset: usize) -> Self;
    fn get(self) -> usize;
}

impl Offset for u16 {
    fn new(offset: usize) -> Self {
        offset as Self
    }
    #[inline(always)]
    fn get(self) -> usize {
        self.into()
    }
}

impl Offset for u32 {
    fn new(offset: usize) -> Self {
        offset as Self
    }
    #[inline(always)]
    fn get(self) -> usize {
        self as usize
    }
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

/// Joins contractions, in place: a word that is a lone apostrophe takes the contraction's letters from the word behind
/// it, which begins later or disappears. Returns how many words remain.
pub(crate) fn join_contractions<P: Offset>(starts: &mut [P], ends: &mut [P], lower: &[u8], long_s: bool) -> usize {
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
                    i += 1; // the contraction took all of it
                }
            }
        }
        kept += 1;
        i += 1;
    }
    kept
}
