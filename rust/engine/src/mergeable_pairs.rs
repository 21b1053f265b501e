//! The byte pairs that some merge can join.
//!
//! They are 2,089 of the 65,536 pairs in CLIP's vocabulary. Between two bytes of any other pair a word is split, and its
//! parts merge independently: long words in scripts that the vocabulary hardly covers fall into single bytes.

use crate::merge_table::Merge;

/// One bit per byte pair: row by the first byte, bit by the second.
#[derive(Debug)]
pub(crate) struct MergeablePairs(Box<[[u64; 4]; 256]>);

/// The byte with which a symbol begins, or the one with which it ends, plus one; [`UNKNOWN`] or [`ANY`].
type Edge = u16;
/// Nothing has been seen to produce the symbol.
const UNKNOWN: Edge = 0;
/// Several bytes, as of the unknown token, which stands for several.
const ANY: Edge = Edge::MAX;

fn joined(one: Edge, other: Edge) -> Edge {
    match (one, other) {
        (UNKNOWN, edge) | (edge, UNKNOWN) => edge,
        (one, other) if one == other => one,
        _ => ANY,
    }
}

fn range(edge: Edge) -> std::ops::RangeInclusive<u8> {
    match edge {
        UNKNOWN | ANY => 0..=u8::MAX,
        edge => (edge - 1) as u8..=(edge - 1) as u8,
    }
}

impl MergeablePairs {
    /// `bytes` are the symbols of the 256 bytes within a word and at its end.
    pub(crate) fn new(bytes: [&[u16; 256]; 2], merges: &[(u16, u16, Merge)]) -> Self {
        let mut edges = vec![[UNKNOWN; 2]; 1 << 16];
        for (byte, &symbol) in (0..=u8::MAX).zip(bytes[0]).chain((0..=u8::MAX).zip(bytes[1])) {
            edges[usize::from(symbol)] = edges[usize::from(symbol)].map(|edge| joined(edge, u16::from(byte) + 1));
        }
        loop {
            let mut changed = false;
            // Whether each symbol is produced once, from symbols that were known by then: as in CLIP's vocabulary.
            let mut in_order = true;
            for &(left, right, merge) in merges {
                let known = edges[usize::from(merge.id)];
                let ([begin, _], [_, end]) = (edges[usize::from(left)], edges[usize::from(right)]);
                let now = [joined(known[0], begin), joined(known[1], end)];
                changed |= now != known;
                in_order &= known == [UNKNOWN; 2] && begin != UNKNOWN && end != UNKNOWN;
                edges[usize::from(merge.id)] = now;
            }
            if in_order || !changed {
                break;
            }
        }
        let mut bits = Box::new([[0; 4]; 256]);
        for &(left, right, _) in merges {
            for before in range(edges[usize::from(left)][1]) {
                for after in range(edges[usize::from(right)][0]) {
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
