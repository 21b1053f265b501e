//! CLIP's merges, and the tables of them, which the compiler makes: a process reads what it needs of them, and makes none.

use crate::alphabet::BYTES_IN_ID_ORDER;
use crate::bpe::Bpe;
use crate::merge_table::{Merge, MergeTable, Pair, filled, slots};
use crate::mergeable_pairs::{Bits, MergeablePairs, bits};

/// Left and right symbol of each merge, in rank order, as little-endian 16-bit integers.
static MERGES: &[u8] = include_bytes!("../data/merges.bin");
const COUNT: usize = MERGES.len() / 4;

/// The id of the first merge's token, after two tokens per byte.
const FIRST_MERGE: u16 = 512;

/// The symbols of the bytes within a word and at its end.
static SYMBOLS: [[u16; 256]; 2] = {
    let (mut symbols, mut id) = ([[0; 256]; 2], 0);
    while id < 256 {
        let byte = BYTES_IN_ID_ORDER[id] as usize;
        symbols[0][byte] = id as u16;
        symbols[1][byte] = id as u16 + 256;
        id += 1;
    }
    symbols
};

const PAIRS: &[Pair; COUNT] = &{
    let mut pairs = [(0, 0, Merge { rank: 0, id: 0 }); COUNT];
    let mut rank = 0;
    while rank < COUNT {
        let (left, right) = pair(rank);
        pairs[rank] = (left, right, Merge { rank: rank as u16, id: FIRST_MERGE + rank as u16 });
        rank += 1;
    }
    pairs
};

#[allow(long_running_const_eval)] // a second or two
static TABLE: [u64; slots(COUNT)] = filled(PAIRS);
#[allow(long_running_const_eval)]
static MERGEABLE: Bits = bits(&SYMBOLS, PAIRS);

const fn pair(rank: usize) -> (u16, u16) {
    let at = 4 * rank;
    (u16::from_le_bytes([MERGES[at], MERGES[at + 1]]), u16::from_le_bytes([MERGES[at + 2], MERGES[at + 3]]))
}

/// Left and right symbol of each merge, in rank order.
pub(crate) fn clip_merges() -> impl ExactSizeIterator<Item = (u16, u16)> {
    (0..COUNT).map(pair)
}

pub(crate) fn clip_bpe() -> Bpe {
    Bpe::of_tables(&SYMBOLS, MergeTable::of_filled(&TABLE), MergeablePairs::of_bits(&MERGEABLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_tables_are_those_of_any_vocabulary() {
        assert_eq!(MergeTable::of_filled(&TABLE), MergeTable::new(PAIRS));
        assert_eq!(MergeablePairs::of_bits(&MERGEABLE), MergeablePairs::new(&SYMBOLS, PAIRS));
        let count: u32 = MERGEABLE.as_flattened().iter().map(|bits| bits.count_ones()).sum();
        assert_eq!((COUNT, count), (48_894, 2_089));
    }
}
