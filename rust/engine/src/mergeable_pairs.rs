//! The byte pairs that some merge can join.
//!
//! They are 2,089 of the 65,536 pairs in CLIP's vocabulary. Between two bytes of any other pair a word is split, and its
//! parts merge independently: long words in scripts that the vocabulary hardly covers fall into single bytes.

use crate::merge_table::Pair;
use std::borrow::Cow;

/// One bit per byte pair: row by the first byte, bit by the second.
pub(crate) type Bits = [[u64; 4]; 256];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MergeablePairs(Cow<'static, Bits>);

/// The byte with which a symbol begins, or the one with which it ends, plus one; [`UNKNOWN`] or [`ANY`].
type Edge = u16;
/// Nothing has been seen to produce the symbol.
const UNKNOWN: Edge = 0;
/// Several bytes, as of the unknown token, which stands for several.
const ANY: Edge = Edge::MAX;

/// The first and the last byte of a symbol.
type Edges = [Edge; 2];
const SYMBOLS: usize = 1 << 16;

const fn joined(one: Edge, other: Edge) -> Edge {
    match (one, other) {
        (UNKNOWN, edge) | (edge, UNKNOWN) => edge,
        (one, other) if one == other => one,
        _ => ANY,
    }
}

/// The least and the greatest byte that it may be.
const fn range(edge: Edge) -> (usize, usize) {
    match edge {
        UNKNOWN | ANY => (0, 255),
        edge => (edge as usize - 1, edge as usize - 1),
    }
}

/// The bits, made by the compiler.
#[allow(clippy::large_stack_arrays)] // of which it has enough
pub(crate) const fn bits(bytes: &[[u16; 256]; 2], merges: &[Pair]) -> Bits {
    find(bytes, merges, &mut [[UNKNOWN; 2]; SYMBOLS])
}

/// `bytes` are the symbols of the 256 bytes within a word and at its end; `edges` are unknown as yet.
const fn find(bytes: &[[u16; 256]; 2], merges: &[Pair], edges: &mut [Edges]) -> Bits {
    let mut byte = 0;
    while byte < 2 * 256 {
        let symbol = bytes[byte / 256][byte % 256] as usize;
        let edge = (byte % 256) as Edge + 1;
        edges[symbol] = [joined(edges[symbol][0], edge), joined(edges[symbol][1], edge)];
        byte += 1;
    }
    while learn(edges, merges) {}
    let mut bits = [[0; 4]; 256];
    let mut at = 0;
    while at < merges.len() {
        let (left, right, _) = merges[at];
        let (mut before, last) = range(edges[left as usize][1]);
        while before <= last {
            let (mut after, last) = range(edges[right as usize][0]);
            while after <= last {
                bits[before][after / 64] |= 1 << (after % 64);
                after += 1;
            }
            before += 1;
        }
        at += 1;
    }
    bits
}

/// Whether nothing has produced a symbol yet, and its parts are known.
const fn is_in_order(before: Edges, now: Edges) -> bool {
    before[0] == UNKNOWN && before[1] == UNKNOWN && now[0] != UNKNOWN && now[1] != UNKNOWN
}

/// Takes the edges of each merge's symbol from its parts. Returns whether that must be done again.
const fn learn(edges: &mut [Edges], merges: &[Pair]) -> bool {
    let mut changed = false;
    // Whether each symbol is produced once, from symbols that were known by then: as in CLIP's vocabulary.
    let mut in_order = true;
    let mut at = 0;
    while at < merges.len() {
        let (left, right, merge) = merges[at];
        let [begin_known, end_known] = edges[merge.id as usize];
        let (begin, end) = (edges[left as usize][0], edges[right as usize][1]);
        let now = [joined(begin_known, begin), joined(end_known, end)];
        changed |= now[0] != begin_known || now[1] != end_known;
        in_order &= is_in_order(edges[merge.id as usize], [begin, end]);
        edges[merge.id as usize] = now;
        at += 1;
    }
    changed && !in_order
}

impl MergeablePairs {
    pub(crate) fn new(bytes: &[[u16; 256]; 2], merges: &[Pair]) -> Self {
        Self(Cow::Owned(find(bytes, merges, &mut vec![[UNKNOWN; 2]; SYMBOLS])))
    }

    /// Those of [`bits`].
    pub(crate) fn of_bits(bits: &'static Bits) -> Self {
        Self(Cow::Borrowed(bits))
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
    use crate::merge_table::Merge;
    use std::collections::BTreeSet;

    #[test]
    fn pairs_that_no_merge_joins_are_left_out() {
        let mut symbols = [0; 256];
        (0..).zip(&mut symbols).for_each(|(id, symbol)| *symbol = id);
        let ends = symbols.map(|id| id + 256);
        let symbol = |byte: u8| u16::from(byte);
        let merge = |left, right, id| (left, right, Merge { rank: id, id });
        let merges = [merge(symbol(b'a'), symbol(b'b'), 600), merge(600, symbol(b'c') + 256, 601)];
        let pairs = MergeablePairs::new(&[symbols, ends], &merges);
        assert!(pairs.contains(b'a', b'b') && pairs.contains(b'b', b'c'));
        assert!(!pairs.contains(b'a', b'c') && !pairs.contains(b'c', b'a') && !pairs.contains(b'b', b'b'));
        // A symbol of several bytes, and one that nothing produces, may begin and end with any byte.
        let unknown = [7; 256];
        let pairs = MergeablePairs::new(&[unknown, ends], &[merge(7, 900, 601)]);
        assert!(pairs.contains(b'x', b'y'));
    }

    /// All bytes with which each symbol may begin and end, learned until nothing is new.
    fn twin(bytes: &[[u16; 256]; 2], merges: &[Pair]) -> MergeablePairs {
        let mut edges = vec![[const { BTreeSet::<u8>::new() }; 2]; SYMBOLS];
        for (byte, &symbol) in bytes.iter().flat_map(|symbols| (0..=255).zip(symbols)) {
            for edge in &mut edges[usize::from(symbol)] {
                edge.insert(byte);
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &(left, right, Merge { id, .. }) in merges {
                for (edge, part) in [(0, left), (1, right)] {
                    for byte in edges[usize::from(part)][edge].clone() {
                        changed |= edges[usize::from(id)][edge].insert(byte);
                    }
                }
            }
        }
        let meant = |edge: &BTreeSet<u8>| match edge.first() {
            Some(&byte) if edge.len() == 1 => byte..=byte,
            _ => 0..=255,
        };
        let mut bits = [[0; 4]; 256];
        for &(left, right, _) in merges {
            for before in meant(&edges[usize::from(left)][1]) {
                for after in meant(&edges[usize::from(right)][0]) {
                    bits[usize::from(before)][usize::from(after / 64)] |= 1 << (after % 64);
                }
            }
        }
        MergeablePairs(Cow::Owned(bits))
    }

    /// Vocabularies in and out of order, with symbols made several times, in circles, never, and of the unknown token.
    #[test]
    fn any_merges_are_those_of_the_twin() {
        let mut state = 1u64;
        let mut below = |bound: u16| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u16 % bound
        };
        for round in 0..100 {
            let in_order = round % 4 == 0;
            let mut symbols = [[0; 256]; 2];
            symbols.as_flattened_mut().iter_mut().zip(0..).for_each(|(symbol, id)| *symbol = id);
            for _ in 0..round % 3 {
                symbols[usize::from(below(2))][usize::from(below(256))] = 520;
            }
            let merges: Vec<Pair> = (0..=below(12))
                .map(|rank| {
                    let known = if in_order { 512 + rank } else { 530 };
                    let mut part = || if below(2) == 0 { below(512) } else { known - 1 - below(known.min(12)) };
                    let (left, right) = (part(), part());
                    (left, right, Merge { rank, id: if in_order { known } else { 508 + below(22) } })
                })
                .collect();
            assert!(MergeablePairs::new(&symbols, &merges) == twin(&symbols, &merges), "{symbols:?} {merges:?}");
        }
    }
}
