//! The merges as a hash table: from two symbols to the rank and the id of their merge.

/// Rank and id of a merge. Lower ranks merge first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) rank: u16,
    pub(crate) id: u16,
}

/// Open addressing with linear probing at a load of at most one half. An entry is eight bytes: left, right, rank, id.
#[derive(Debug)]
pub(crate) struct MergeTable {
    entries: Box<[u64]>,
    shift: u32,
}

/// Marks a free slot. As an entry it would be a merge of the id 65,535, which no vocabulary has.
const FREE: u64 = u64::MAX;

impl MergeTable {
    /// Of equal pairs the first counts.
    pub(crate) fn new(merges: &[(u16, u16, Merge)]) -> Self {
        let slots = (2 * merges.len()).next_power_of_two().max(2);
        let shift = 32 - slots.trailing_zeros();
        let mut entries = vec![FREE; slots].into_boxed_slice();
        for &(left, right, merge) in merges {
            let key = u32::from(left) << 16 | u32::from(right);
            let mut slot = hash(key, shift);
            while entries[slot] != FREE && (entries[slot] >> 32) as u32 != key {
                slot = (slot + 1) & (slots - 1);
            }
            if entries[slot] == FREE {
                entries[slot] = u64::from(key) << 32 | u64::from(merge.rank) << 16 | u64::from(merge.id);
            }
        }
        Self { entries, shift }
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
fn hash(key: u32, shift: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> shift) as usize
}
