//! The byte pairs that some merge can join.
//!
//! They are 2,089 of the 65,536 pairs in CLIP's vocabulary. Between two bytes of any other pair a word is split, and its
//! parts merge independently: long words in scripts that the vocabulary hardly covers fall into single bytes.

use crate::merge_table::Merge;

/// One bit per byte pair: row by the first byte, bit by the second.
#[derive(Debug)]
pub(crate) struct MergeablePairs(Box<[[u64; 4]; 256]>);

/// The byte with which a symbol begins, or the one with which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// Nothing has been seen to produce the symbol.
    Unknown,
    One(u8),
    /// Several, as of the unknown token, which stands for several bytes.
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

impl MergeablePairs {
    /// `bytes` are the symbols of the 256 bytes within a word and at its end.
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

    /// Whether some merge can join `before` and `after`.
    #[inline]
    pub(crate) fn contains(&self, before: u8, after: u8) -> bool {
        self.0[usize::from(before)][usize::from(after / 64)] >> (after % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_no_merge_joins_are_left_out() {
        let mut symbols = [0; 256];
        (0..).zip(&mut symbols).for_each(|(id, symbol)| *symbol = id);
        let ends = symbols.map(|id| id + 256);
        let symbol = |byte: u8| u16::from(byte);
        let merge = |left, right, id| (left, right, Merge { rank: id, id });
        let merges = [merge(symbol(b'a'), symbol(b'b'), 600), merge(600, symbol(b'c') + 256, 601)];
        let pairs = MergeablePairs::new([&symbols, &ends], &merges);
        assert!(pairs.contains(b'a', b'b') && pairs.contains(b'b', b'c'));
        assert!(!pairs.contains(b'a', b'c') && !pairs.contains(b'c', b'a') && !pairs.contains(b'b', b'b'));
        // A symbol of several bytes, and one that nothing produces, may begin and end with any byte.
        let unknown = [7; 256];
        let pairs = MergeablePairs::new([&unknown, &ends], &[merge(7, 900, 601)]);
        assert!(pairs.contains(b'x', b'y'));
    }
}
