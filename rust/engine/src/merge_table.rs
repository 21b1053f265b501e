//! The merges as a hash table: from two symbols to the rank and the id of their merge.

use std::borrow::Cow;

/// Rank and id of a merge. Lower ranks merge first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) rank: u16,
    pub(crate) id: u16,
}

/// Two symbols and their merge.
pub(crate) type Pair = (u16, u16, Merge);

/// Open addressing with linear probing at a load of at most one half. An entry is eight bytes: left, right, rank, id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MergeTable {
    entries: Cow<'static, [u64]>,
    shift: u32,
}

/// Marks a free slot. As an entry it would be a merge of the id 65,535, which no vocabulary has.
const FREE: u64 = u64::MAX;

/// How many slots a table has.
pub(crate) const fn slots(merges: usize) -> usize {
    let slots = (2 * merges).next_power_of_two();
    if slots < 2 { 2 } else { slots }
}

const fn shift(slots: usize) -> u32 {
    32 - slots.trailing_zeros()
}

/// Fills the slots of a table. Of equal pairs the first counts.
const fn fill(entries: &mut [u64], merges: &[Pair]) {
    let (mut at, mask, shift) = (0, entries.len() - 1, shift(entries.len()));
    while at < merges.len() {
        let (left, right, merge) = merges[at];
        let key = (left as u32) << 16 | right as u32;
        let mut slot = hash(key, shift);
        while entries[slot] != FREE && (entries[slot] >> 32) as u32 != key {
            slot = (slot + 1) & mask;
        }
        if entries[slot] == FREE {
            entries[slot] = (key as u64) << 32 | (merge.rank as u64) << 16 | merge.id as u64;
        }
        at += 1;
    }
}

/// The slots of a table, made by the compiler.
pub(crate) const fn filled<const SLOTS: usize>(merges: &[Pair]) -> [u64; SLOTS] {
    assert!(SLOTS == slots(merges.len()));
    let mut entries = [FREE; SLOTS];
    fill(&mut entries, merges);
    entries
}

impl MergeTable {
    pub(crate) fn new(merges: &[Pair]) -> Self {
        let mut entries = vec![FREE; slots(merges.len())];
        fill(&mut entries, merges);
        Self { shift: shift(entries.len()), entries: entries.into() }
    }

    /// A table that [`filled`] has made.
    pub(crate) fn of_filled(entries: &'static [u64]) -> Self {
        Self { shift: shift(entries.len()), entries: entries.into() }
    }

    #[inline]
    pub(crate) fn get(&self, left: u16, right: u16) -> Option<Merge> {
        let key = u32::from(left) << 16 | u32::from(right);
        let mask = self.entries.len() - 1;
        let mut slot = hash(key, self.shift);
        loop {
            let entry = self.entries[slot & mask];
            if (entry >> 32) as u32 == key && entry != FREE {
                return Some(Merge { rank: (entry >> 16) as u16, id: entry as u16 });
            }
            if entry == FREE {
                return None;
            }
            slot += 1;
        }
    }
}

/// Fibonacci hashing: the high bits of a product.
#[inline]
const fn hash(key: u32, shift: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> shift) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_half_of_the_slots_are_taken() {
        for merges in (0..200).chain([48_894, 65_535]) {
            assert!(slots(merges).is_power_of_two() && slots(merges) >= 2.max(2 * merges), "{merges}");
        }
    }

    #[test]
    fn of_equal_pairs_the_first_counts() {
        let merge = |rank| Merge { rank, id: 600 + rank };
        let table = MergeTable::new(&[(1, 2, merge(0)), (1, 2, merge(1)), (2, 1, merge(2))]);
        assert_eq!((table.get(1, 2), table.get(2, 1)), (Some(merge(0)), Some(merge(2))));
        // The key of a free slot, and a table of nothing else.
        assert_eq!((table.get(u16::MAX, u16::MAX), MergeTable::new(&[]).get(1, 2)), (None, None));
    }
}
