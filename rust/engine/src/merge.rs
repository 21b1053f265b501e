//! Byte-pair merging of one word: the lowest-ranked pair first, the leftmost among equals, until none is left.

use crate::interrupt::poll;
use crate::merge_table::{Merge, MergeTable};
use crate::reserve::reserve;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many symbols, searching all ranks for the lowest beats a heap.
const SCAN_LIMIT: usize = 64;

/// Merges the symbols from `from` on in place.
pub(crate) fn merge_from(from: usize, symbols: &mut Vec<u16>, pairs: &MergeTable) {
    let unmerged = &mut symbols[from..];
    if unmerged.len() <= SCAN_LIMIT {
        let left = merge_by_scan(unmerged, pairs);
        symbols.truncate(from + left);
    } else {
        let merged = merge_by_heap(unmerged, pairs);
        symbols.truncate(from);
        symbols.extend(merged.map(|(id, _)| id));
    }
}

/// Merges in place and returns how many symbols are left. Quadratic in their number, but the search is vectorised and
/// nothing is allocated.
fn merge_by_scan(symbols: &mut [u16], pairs: &MergeTable) -> usize {
    const NONE: i16 = i16::MAX;
    let n = symbols.len();
    match *symbols {
        [] | [_] => return n,
        [left, right] => {
            let Some(merge) = pairs.get(left, right) else { return 2 };
            symbols[0] = merge.id;
            return 1;
        }
        _ => {}
    }
    // The rank and the id of each symbol's merge with the next live one. Ranks are signed, since every machine has a
    // fast minimum for those. A symbol that was merged into another has no rank.
    let mut ranks = [NONE; SCAN_LIMIT];
    let mut ids = [0; SCAN_LIMIT];
    let mut next: [u8; SCAN_LIMIT] = std::array::from_fn(|i| i as u8 + 1);
    let mut previous: [u8; SCAN_LIMIT] = std::array::from_fn(|i| (i as u8).wrapping_sub(1));
    let lookup = |left: u16, right: u16| match pairs.get(left, right) {
        Some(merge) => ((merge.rank ^ 0x8000) as i16, merge.id),
        None => (NONE, 0),
    };
    for i in 1..n {
        (ranks[i - 1], ids[i - 1]) = lookup(symbols[i - 1], symbols[i]);
    }
    loop {
        let lowest = ranks[..n].iter().copied().min().unwrap_or(NONE);
        if lowest == NONE {
            break;
        }
        let at = ranks.iter().position(|&rank| rank == lowest).unwrap_or(0);
        let right = usize::from(next[at]);
        let after = usize::from(next[right]);
        symbols[at] = ids[at];
        ranks[right] = NONE;
        next[at] = after as u8;
        if after < n {
            previous[after] = at as u8;
            (ranks[at], ids[at]) = lookup(symbols[at], symbols[after]);
        } else {
            ranks[at] = NONE;
        }
        if at > 0 {
            let before = usize::from(previous[at]);
            (ranks[before], ids[before]) = lookup(symbols[before], symbols[at]);
        }
    }
    let (mut at, mut left) = (0, 0);
    while at < n {
        symbols[left] = symbols[at];
        left += 1;
        at = next[at].into();
    }
    left
}

/// Merges with a linked list of symbols and a heap of candidate merges, in O(n log n). Yields each id and how many of the
/// original symbols it covers.
pub(crate) fn merge_by_heap(symbols: &[u16], pairs: &MergeTable) -> impl Iterator<Item = (u16, u32)> + use<> {
    const END: u32 = u32::MAX;
    struct Node {
        id: u16,
        live: bool,
        previous: u32,
        next: u32,
    }
    let last = symbols.len().saturating_sub(1);
    let mut nodes: Vec<Node> = Vec::new();
    reserve(&mut nodes, symbols.len());
    let all = symbols.iter().enumerate().inspect(|_| poll()).map(|(i, &id)| Node {
        id,
        live: true,
        previous: (i as u32).wrapping_sub(1), // END before the first
        next: if i == last { END } else { i as u32 + 1 },
    });
    nodes.extend(all);
    // A candidate: rank, position of the left symbol, merged id. The smallest is merged next.
    let candidate = |merge: Merge, at: u32| Reverse((merge.rank, at, merge.id));
    let mut room = Vec::new();
    reserve(&mut room, 2 * symbols.len()); // a merge makes two candidates at most
    let mut heap = BinaryHeap::from(room);
    for (i, pair) in symbols.windows(2).enumerate() {
        poll(); // a heap made of all at once could not be interrupted
        if let Some(merge) = pairs.get(pair[0], pair[1]) {
            heap.push(candidate(merge, i as u32));
        }
    }
    while let Some(Reverse((rank, at, id))) = heap.pop() {
        poll();
        let (live, next, left) = {
            let node = &nodes[at as usize];
            (node.live, node.next, node.id)
        };
        if !live || next == END || pairs.get(left, nodes[next as usize].id) != Some(Merge { rank, id }) {
            continue; // outdated: one of its symbols has been merged since
        }
        let after = nodes[next as usize].next;
        nodes[next as usize].live = false;
        nodes[at as usize].id = id;
        nodes[at as usize].next = after;
        if after != END {
            nodes[after as usize].previous = at;
            if let Some(merge) = pairs.get(id, nodes[after as usize].id) {
                heap.push(candidate(merge, at));
            }
        }
        let before = nodes[at as usize].previous;
        if before != END
            && let Some(merge) = pairs.get(nodes[before as usize].id, id)
        {
            heap.push(candidate(merge, before));
        }
    }
    let mut at = if nodes.is_empty() { END } else { 0 };
    std::iter::from_fn(move || {
        poll();
        let here = at;
        let node = nodes.get(here as usize)?;
        at = node.next;
        let until = if at == END { nodes.len() as u32 } else { at };
        Some((node.id, until - here))
    })
}
