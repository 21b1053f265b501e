//! Which two neighbouring bytes a merge can ever join.
//!
//! Of the 65,536 pairs of bytes, CLIP's merges cross 2,089. Between two bytes that none crosses, a word falls into parts
//! that merge by themselves: long words of scripts that the vocabulary hardly knows fall into single bytes.

use crate::pairs::Merge;

/// A bit for each pair of bytes.
#[derive(Debug)]
pub(crate) struct Crossings(Box<[[u64; 4]; 256]>);

/// The bytes with which a symbol begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// Nothing is known to make the symbol.
    Unknown,
    One(u8),
    /// Several, as the symbol that stands for missing bytes has.
    Any,
}

impl Edge {
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, edge) | (edge, Self::Unknown) => edge,
            (one, other) if one == other => one,
            _ => Self::Any,
        }
    }

    fn bytes(self) -> std::ops::RangeInclusive<u8> {
        if let Self::One(byte) = self { byte..=byte } else { 0..=u8::MAX }
    }
}

impl Crossings {
    /// From the symbols of bytes, within a word and at its end, and the merges.
    pub(crate) fn new(bytes: [&[u16; 256]; 2], merges: &[(u16, u16, Merge)]) -> Self {
        let mut edges = vec![[Edge::Unknown; 2]; 1 << 16];
        for (byte, &symbol) in (0..=u8::MAX).zip(bytes[0]).chain((0..=u8::MAX).zip(bytes[1])) {
            edges[usize::from(symbol)] = edges[usize::from(symbol)].map(|edge| edge.joined(Edge::One(byte)));
        }
        loop {
            let mut changed = false;
            for &(left, right, merge) in merges {
                let known = edges[usize::from(merge.id)];
                let ([begin, _], [_, end]) = (edges[usize::from(left)], edges[usize::from(right)]);
                let joined = [known[0].joined(begin), known[1].joined(end)];
                changed |= joined != known;
                edges[usize::from(merge.id)] = joined;
            }
            if !changed {
                break;
            }
        }
        let mut bits = Box::new([[0; 4]; 256]);
        for &(left, right, _) in merges {
            for before in edges[usize::from(left)][1].bytes() {
                for after in edges[usize::from(right)][0].bytes() {
                    bits[usize::from(before)][usize::from(after / 64)] |= 1 << (after % 64);
                }
            }
        }
        Self(bits)
    }

    /// Whether a merge may join `before` and `after`.
    #[inline]
    pub(crate) fn has(&self, before: u8, after: u8) -> bool {
        self.0[usize::from(before)][usize::from(after / 64)] >> (after % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_merge_joins_is_not_crossed() {
        let mut symbols = [0; 256];
        (0..).zip(&mut symbols).for_each(|(id, symbol)| *symbol = id);
        let ends = symbols.map(|id| id + 256);
        let symbol = |byte: u8| u16::from(byte);
        let merge = |left, right, id| (left, right, Merge { rank: id, id });
        let merges = [merge(symbol(b'a'), symbol(b'b'), 600), merge(600, symbol(b'c') + 256, 601)];
        let crossings = Crossings::new([&symbols, &ends], &merges);
        assert!(crossings.has(b'a', b'b') && crossings.has(b'b', b'c'));
        assert!(!crossings.has(b'a', b'c') && !crossings.has(b'c', b'a') && !crossings.has(b'b', b'b'));
        // A symbol that stands for several bytes, and one that nothing makes, may be anything.
        let unknown = [7; 256];
        let crossings = Crossings::new([&unknown, &ends], &[merge(7, 900, 601)]);
        assert!(crossings.has(b'x', b'y'));
    }
}
