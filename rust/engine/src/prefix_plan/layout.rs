//! A batch's trie in one buffer: which token every node is, what it attends to, and where texts end.

use super::window::Window;
use std::ops::Range;

/// A query's key slots, ancestors and own chunk together, are a multiple of this: vectors without a remainder.
const SLOTS: usize = 32;

/// A size that batches are padded to, so that they all have the same shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canonical {
    /// Nodes, a multiple of the chunk.
    pub nodes: usize,
    /// End-of-sequence nodes.
    pub eos: usize,
}

/// A batch that was laid out for a CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// All parts, one after the other.
    pub packed: Vec<i32>,
    /// Distinct pairs of token and position, filled up to whole chunks.
    pub pairs: usize,
    /// Chunks with equally many slots for ancestors, and how many, in the order of storage.
    pub groups: Vec<(usize, usize)>,
    /// Nodes without padding.
    pub nodes: usize,
}

/// Who hears of a trie's nodes, depth first.
trait Visit {
    /// A node: the next number. `path` are its ancestors, from the root on.
    fn node(&mut self, token: i32, path: &[i32]);
    /// All descendants of `node` are before node number `end`.
    fn close(&mut self, node: i32, end: i32);
    /// A text ends with this node.
    fn text(&mut self, node: i32);
}

impl Window {
    /// Tells of the trie of rows `rows`. Returns the number of nodes.
    fn walk(&self, rows: Range<usize>, visit: &mut impl Visit) -> usize {
        let mut path: Vec<i32> = Vec::new();
        let mut nodes = 0;
        for row in rows.clone() {
            let shared = if row == rows.start { 0 } else { self.shared[row] };
            for &node in &path[shared..] {
                visit.close(node, nodes);
            }
            path.truncate(shared);
            for &token in &self.row(row)[shared..] {
                visit.node(token, &path);
                path.push(nodes);
                nodes += 1;
            }
            visit.text(nodes - 1);
        }
        for &node in &path {
            visit.close(node, nodes);
        }
        nodes as usize
    }

    /// Writes the trie of rows `rows` into `out`, padded to a canonical size, in chunks of `chunk` nodes with slots for
    /// `slots` ancestors each: tokens, positions, numbers, subtree ends (all `size.nodes`), ancestors (`size.nodes` for
    /// none), end-of-sequence nodes. Returns the number of nodes without padding.
    ///
    /// # Panics
    ///
    /// If `out` has another length, if the batch does not fit the size, or if a chunk has more ancestors than slots.
    pub fn build_canonical(
        &self,
        rows: Range<usize>,
        size: Canonical,
        chunk: usize,
        slots: usize,
        out: &mut [i32],
    ) -> usize {
        assert_eq!(out.len(), 4 * size.nodes + size.nodes / chunk * slots + size.eos);
        let (tokens, rest) = out.split_at_mut(size.nodes);
        let (positions, rest) = rest.split_at_mut(size.nodes);
        let (numbers, rest) = rest.split_at_mut(size.nodes);
        let (subtree_end, rest) = rest.split_at_mut(size.nodes);
        let (ancestors, eos) = rest.split_at_mut(size.nodes / chunk * slots);
        ancestors.fill(size.nodes as i32);
        let mut direct = Direct { tokens, positions, subtree_end, ancestors, eos, chunk, slots, nodes: 0, texts: 0 };
        let nodes = self.walk(rows, &mut direct);
        let texts = direct.texts;
        tokens[nodes..].fill(0);
        positions[nodes..].fill(0);
        eos[texts..].fill(0);
        (0..).zip(numbers).for_each(|(number, place)| *place = number);
        (nodes as i32 + 1..).zip(&mut subtree_end[nodes..]).for_each(|(end, place)| *place = end);
        nodes
    }

    /// Lays the trie of rows `rows` out in chunks of `chunk` nodes, stored in the order of their key slots: tokens and
    /// positions of the distinct pairs, each node's pair, numbers, subtree ends, the ancestors group by group (the padded
    /// number of nodes for none), end-of-sequence nodes.
    pub fn build(&self, rows: Range<usize>, chunk: usize) -> Layout {
        let mut trie = Trie { chunk, ..Trie::default() };
        let nodes = self.walk(rows, &mut trie);
        let padded = nodes.next_multiple_of(chunk);
        trie.tokens.resize(padded, 0);
        trie.positions.resize(padded, 0);
        trie.subtree_end.extend(nodes as i32 + 1..=padded as i32);

        let slots = |chunk_number: usize| {
            (trie.positions[chunk_number * chunk] as usize + chunk).next_multiple_of(SLOTS) - chunk
        };
        let mut order: Vec<usize> = (0..padded / chunk).collect();
        order.sort_by_key(|&chunk_number| slots(chunk_number));
        let mut place = vec![0; order.len()];
        for (stored, &chunk_number) in order.iter().enumerate() {
            place[chunk_number] = stored;
        }
        let stored = |node: i32| (place[node as usize / chunk] * chunk + node as usize % chunk) as i32;
        let numbers: Vec<i32> = order
            .iter()
            .flat_map(|&chunk_number| (chunk_number * chunk..(chunk_number + 1) * chunk).map(|n| n as i32))
            .collect();

        let (pairs, pair) =
            distinct_pairs(numbers.iter().map(|&n| (trie.tokens[n as usize], trie.positions[n as usize])), chunk);
        let mut packed: Vec<i32> =
            Vec::with_capacity(2 * pairs.len() + 3 * padded + trie.paths.len() * 2 + trie.eos.len());
        packed.extend(pairs.iter().map(|&(token, _)| token));
        packed.extend(pairs.iter().map(|&(_, position)| position));
        packed.extend(pair);
        packed.extend(&numbers);
        packed.extend(numbers.iter().map(|&number| trie.subtree_end[number as usize]));
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for &chunk_number in &order {
            let slots = slots(chunk_number);
            match groups.last_mut() {
                Some(group) if group.1 == slots => group.0 += 1,
                _ => groups.push((1, slots)),
            }
            let path = &trie.paths[trie.path_offsets[chunk_number]..trie.path_offsets[chunk_number + 1]];
            packed.extend(path.iter().map(|&node| stored(node)));
            packed.resize(packed.len() + slots - path.len(), padded as i32);
        }
        packed.extend(trie.eos.iter().map(|&node| stored(node)));
        Layout { packed, pairs: pairs.len(), groups, nodes }
    }
}

impl Window {
    /// The depth-first number of the node of each row at each position, and the positions of the longest row: past a
    /// row's end there are zeros.
    pub fn paths(&self, rows: Range<usize>) -> (Vec<i32>, usize) {
        let longest = rows.clone().map(|row| self.row(row).len()).max().unwrap_or(0);
        let mut paths = vec![0; rows.len() * longest];
        let mut nodes = 0;
        for (at, row) in rows.enumerate() {
            let shared = if at == 0 { 0 } else { self.shared[row] };
            let (before, path) = paths.split_at_mut(at * longest);
            path[..shared].copy_from_slice(&before[before.len() - longest.min(before.len())..][..shared]);
            for place in &mut path[shared..self.row(row).len()] {
                *place = nodes;
                nodes += 1;
            }
        }
        (paths, longest)
    }
}

/// The distinct pairs in ascending order, filled up to whole chunks, and which one each is.
fn distinct_pairs(pairs: impl Iterator<Item = (i32, i32)>, chunk: usize) -> (Vec<(i32, i32)>, Vec<i32>) {
    let mut numbered: Vec<(i32, i32, u32)> =
        (0..).zip(pairs).map(|(at, (token, position))| (token, position, at)).collect();
    numbered.sort_unstable();
    let mut distinct: Vec<(i32, i32)> = Vec::new();
    let mut which = vec![0; numbered.len()];
    for (token, position, at) in numbered {
        if distinct.last() != Some(&(token, position)) {
            distinct.push((token, position));
        }
        which[at as usize] = distinct.len() as i32 - 1;
    }
    distinct.resize(distinct.len().next_multiple_of(chunk), (0, 0));
    (distinct, which)
}

/// Writes nodes where they belong, in depth-first order.
struct Direct<'o> {
    tokens: &'o mut [i32],
    positions: &'o mut [i32],
    subtree_end: &'o mut [i32],
    ancestors: &'o mut [i32],
    eos: &'o mut [i32],
    chunk: usize,
    slots: usize,
    nodes: usize,
    texts: usize,
}

impl Visit for Direct<'_> {
    #[inline]
    fn node(&mut self, token: i32, path: &[i32]) {
        self.tokens[self.nodes] = token;
        self.positions[self.nodes] = path.len() as i32;
        if self.nodes.is_multiple_of(self.chunk) {
            let first = self.nodes / self.chunk * self.slots;
            self.ancestors[first..first + self.slots][..path.len()].copy_from_slice(path);
        }
        self.nodes += 1;
    }

    #[inline]
    fn close(&mut self, node: i32, end: i32) {
        self.subtree_end[node as usize] = end;
    }

    #[inline]
    fn text(&mut self, node: i32) {
        self.eos[self.texts] = node;
        self.texts += 1;
    }
}

/// Collects nodes in depth-first order, and the ancestors of every chunk's first.
#[derive(Default)]
struct Trie {
    chunk: usize,
    tokens: Vec<i32>,
    positions: Vec<i32>,
    subtree_end: Vec<i32>,
    paths: Vec<i32>,
    path_offsets: Vec<usize>,
    eos: Vec<i32>,
}

impl Visit for Trie {
    fn node(&mut self, token: i32, path: &[i32]) {
        if self.tokens.len().is_multiple_of(self.chunk) {
            if self.path_offsets.is_empty() {
                self.path_offsets.push(0);
            }
            self.paths.extend_from_slice(path);
            self.path_offsets.push(self.paths.len());
        }
        self.tokens.push(token);
        self.positions.push(path.len() as i32);
        self.subtree_end.push(0);
    }

    fn close(&mut self, node: i32, end: i32) {
        self.subtree_end[node as usize] = end;
    }

    fn text(&mut self, node: i32) {
        self.eos.push(node);
    }
}
