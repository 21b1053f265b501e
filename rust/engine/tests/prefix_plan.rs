//! The planner against a naive one, in which a trie is the sorted set of all prefixes.

use cliptok::prefix_plan::{Canonical, Layout, PlanError, Window};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;

const END: i32 = 9;
const ANY: usize = i32::MAX as usize + 1;

fn sort(texts: &[Vec<i32>], end: Option<i32>, positions: usize, vocabulary: usize) -> Result<Window, PlanError> {
    let mut offsets = vec![0];
    for text in texts {
        offsets.push(offsets[offsets.len() - 1] + text.len() as i64);
    }
    Window::sort(&texts.concat(), &offsets, end, positions, vocabulary)
}

fn rows(texts: &[Vec<i32>], end: Option<i32>) -> Vec<Vec<i32>> {
    let truncated = texts.iter().map(|text| {
        let length = text.iter().position(|&id| Some(id) == end).map_or(text.len(), |at| at + 1);
        text[..length].to_vec()
    });
    truncated.collect()
}

/// All nodes of these rows, depth first: each is the ids up to it.
fn trie(rows: &[Vec<i32>]) -> Vec<&[i32]> {
    let nodes: BTreeSet<&[i32]> = rows.iter().flat_map(|row| (1..=row.len()).map(move |to| &row[..to])).collect();
    nodes.into_iter().collect()
}

fn number(nodes: &[&[i32]], node: &[i32]) -> i32 {
    nodes.iter().position(|&one| one == node).unwrap() as i32
}

fn subtree_end(nodes: &[&[i32]], at: usize) -> i32 {
    let inside = nodes[at..].iter().take_while(|node| node.starts_with(nodes[at])).count();
    (at + inside) as i32
}

/// The ancestors of each chunk's first node, from the root on.
fn ancestors(nodes: &[&[i32]], chunk: usize) -> Vec<Vec<i32>> {
    let above = |node: &[i32]| (1..node.len()).map(|to| number(nodes, &node[..to])).collect();
    nodes.iter().step_by(chunk).map(|&node| above(node)).collect()
}

fn split(rows: &[Vec<i32>], budget: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    for row in 0..rows.len() {
        match batches.last_mut() {
            Some(batch) if trie(&rows[batch.start..=row]).len() <= budget => batch.end = row + 1,
            _ => batches.push(row..row + 1),
        }
    }
    batches
}

fn canonical(rows: &[Vec<i32>], size: Canonical, chunk: usize, slots: usize) -> Vec<i32> {
    let nodes = trie(rows);
    let padded = |mut part: Vec<i32>, length: usize, with: i32| {
        part.resize(length, with);
        part
    };
    let ends = (0..size.nodes).map(|at| if at < nodes.len() { subtree_end(&nodes, at) } else { at as i32 + 1 });
    let mut above: Vec<Vec<i32>> = ancestors(&nodes, chunk);
    above.resize(size.nodes / chunk, Vec::new());
    [
        padded(nodes.iter().map(|node| node[node.len() - 1]).collect(), size.nodes, 0),
        padded(nodes.iter().map(|node| node.len() as i32 - 1).collect(), size.nodes, 0),
        (0..size.nodes as i32).collect(),
        ends.collect(),
        above.into_iter().flat_map(|path| padded(path, slots, size.nodes as i32)).collect(),
        padded(rows.iter().map(|row| number(&nodes, row)).collect(), size.eos, 0),
    ]
    .concat()
}

fn layout(rows: &[Vec<i32>], chunk: usize) -> Layout {
    const SLOTS: usize = 32;
    let nodes = trie(rows);
    let chunks = nodes.len().div_ceil(chunk);
    let padded = chunks * chunk;
    let paths = ancestors(&nodes, chunk);
    let slots = |chunk_number: usize| (paths[chunk_number].len() + chunk).div_ceil(SLOTS) * SLOTS - chunk;
    let mut order: Vec<usize> = (0..chunks).collect();
    order.sort_by_key(|&chunk_number| slots(chunk_number));
    let numbers: Vec<usize> = order.iter().flat_map(|&at| at * chunk..(at + 1) * chunk).collect();
    let stored = |node: i32| numbers.iter().position(|&number| number == node as usize).unwrap() as i32;
    let pair = |&at: &usize| nodes.get(at).map_or((0, 0), |node| (node[node.len() - 1], node.len() as i32 - 1));
    let distinct: BTreeSet<(i32, i32)> = numbers.iter().map(pair).collect();
    let mut pairs: Vec<(i32, i32)> = distinct.into_iter().collect();
    let which = numbers.iter().map(|at| pairs.iter().position(|&one| one == pair(at)).unwrap() as i32).collect();
    pairs.resize(pairs.len().div_ceil(chunk) * chunk, (0, 0));
    let end = |&at: &usize| if at < nodes.len() { subtree_end(&nodes, at) } else { at as i32 + 1 };
    let above = order.iter().flat_map(|&at| {
        let mut path: Vec<i32> = paths[at].iter().map(|&node| stored(node)).collect();
        path.resize(slots(at), padded as i32);
        path
    });
    let packed = [
        pairs.iter().map(|pair| pair.0).collect(),
        pairs.iter().map(|pair| pair.1).collect(),
        which,
        numbers.iter().map(|&at| at as i32).collect::<Vec<_>>(),
        numbers.iter().map(end).collect(),
        above.collect(),
        rows.iter().map(|row| stored(number(&nodes, row))).collect(),
    ];
    let runs: Vec<usize> = order.iter().map(|&at| slots(at)).collect();
    let groups = runs.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0])).collect();
    Layout { packed: packed.concat(), pairs: pairs.len(), groups, nodes: nodes.len() }
}

/// Few ids, so that texts share much; and now and then one that a sort key has no bits for.
fn texts() -> impl Strategy<Value = Vec<Vec<i32>>> {
    let id = prop_oneof![12 => 0..4, 1 => Just(END), 1 => (1 << 21) - 4..(1 << 21) + 2, 1 => Just(i32::MAX)];
    prop::collection::vec(prop::collection::vec(id, 1..50), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn equals_the_naive_planner(given in texts(), ends: bool, budget in 1usize..120, chunk in 1usize..20) {
        let given: Vec<Vec<i32>> =
            given.into_iter().map(|text| if ends { [text, vec![END]].concat() } else { text }).collect();
        let end = ends.then_some(END);
        let window = sort(&given, end, 60, ANY).unwrap();
        let whole = rows(&given, end);
        let mut sorted = whole.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!((window.len(), window.is_empty()), (sorted.len(), false));
        for (row, wanted) in sorted.iter().enumerate() {
            prop_assert_eq!(window.row(row), &wanted[..]);
        }
        prop_assert_eq!(window.inverse().len(), whole.len());
        for (text, &row) in whole.iter().zip(window.inverse()) {
            prop_assert_eq!(text, &sorted[row as usize]);
        }
        prop_assert_eq!(window.split(budget), split(&sorted, budget));
        for batch in window.split(budget) {
            let these = &sorted[batch.clone()];
            let nodes = trie(these);
            prop_assert_eq!(window.nodes(batch.clone()), nodes.len());
            prop_assert_eq!(window.build(batch.clone(), chunk), layout(these, chunk));
            let size = Canonical { nodes: (nodes.len() + 5).next_multiple_of(chunk), eos: these.len() + 2 };
            let slots = these.iter().map(Vec::len).max().unwrap();
            let mut out = vec![-7; 4 * size.nodes + size.nodes / chunk * slots + size.eos];
            prop_assert_eq!(window.build_canonical(batch.clone(), size, chunk, slots, &mut out), nodes.len());
            prop_assert_eq!(out, canonical(these, size, chunk, slots));
            let (paths, longest) = window.paths(batch);
            prop_assert_eq!((longest, paths.len()), (slots, slots * these.len()));
            for (row, path) in these.iter().zip(paths.chunks(longest)) {
                for (at, &node) in path.iter().enumerate() {
                    prop_assert_eq!(node, if at < row.len() { number(&nodes, &row[..=at]) } else { 0 });
                }
            }
        }
    }
}

/// `count` rows of 10 nodes, of which 9 are their own.
fn tens(count: i32) -> Window {
    let texts: Vec<Vec<i32>> = (0..count).map(|n| [vec![1], vec![10 + n; 8], vec![END]].concat()).collect();
    sort(&texts, Some(END), 77, ANY).unwrap()
}

#[test]
fn canonical_sizes() {
    let size = |nodes, eos| Canonical { nodes, eos };
    let sizes = [size(16, 4), size(64, 8), size(64, 32), size(256, 32), size(4096, 64), size(8192, 64)];
    let split = |count, sizes: &[Canonical]| tens(count).split_canonical(sizes).unwrap();
    assert_eq!(split(1, &sizes), [(0..1, size(16, 4))]);
    assert_eq!(split(2, &sizes), [(0..2, size(64, 8))]); // padding is free below 2048 nodes
    assert_eq!(split(7, &sizes), [(0..7, size(64, 8))]);
    assert_eq!(split(8, &sizes), [(0..8, size(256, 32))]);
    // As many rows as the largest end-of-sequence nodes of the wanted size; less than 3/4 of 4096 fills the size below.
    assert_eq!(split(32, &sizes), [(0..28, size(256, 32)), (28..32, size(64, 8))]);
    assert_eq!(split(64, &[size(576, 64), size(577, 70)]), [(0..64, size(577, 70))]);
    assert_eq!(split(64, &[size(577, 60), size(700, 64)]), [(0..60, size(577, 60)), (60..64, size(577, 60))]);
    // 64 rows are 577 nodes, 399 are 3592: more than three quarters of 4096, and 3073 is too, 3072 is not.
    let large = [size(256, 500), size(4096, 500)];
    assert_eq!(split(399, &large), [(0..399, size(4096, 500))]);
    assert_eq!(split(342, &large), [(0..342, size(4096, 500))]);
    assert_eq!(split(341, &large)[0], (0..28, size(256, 500)));
    assert_eq!(split(500, &large)[0], (0..455, size(4096, 500)));
    // Three quarters of 2726 are the 2044 nodes of 227 rows, and what is left of them is never more.
    let small = split(227, &[size(256, 99), size(2726, 999)]);
    assert!(small.len() == 9 && small.iter().all(|(_, size)| size.nodes == 256));
    // A row that the size below cannot hold, and one that it just holds.
    assert_eq!(split(2, &[size(10, 9), size(4096, 9)]), [(0..1, size(10, 9)), (1..2, size(10, 9))]);
    assert_eq!(split(2, &[size(9, 9), size(4096, 9)]), [(0..2, size(4096, 9))]);
    assert_eq!(split(1, &[size(10, 1)]), [(0..1, size(10, 1))]);
    let error = tens(1).split_canonical(&sizes[..0]).unwrap_err();
    assert_eq!(error, PlanError::NoSize { length: 10, largest: 0 });
    let error = tens(1).split_canonical(&[size(9, 1)]).unwrap_err();
    assert_eq!(error.to_string(), "a text has 10 tokens but a batch at most 9 nodes");
}

#[test]
fn what_no_window_is_made_of() {
    let error = |texts: &[Vec<i32>], end| sort(texts, end, 4, 10).unwrap_err();
    let text = |ids: &[i32]| ids.to_vec();
    assert_eq!(error(&[text(&[1, END]), text(&[1, 2])], Some(END)), PlanError::NoEnd { text: 1 });
    assert_eq!(error(&[text(&[1]), text(&[])], None), PlanError::NoEnd { text: 1 });
    let long = [text(&[1, 2, 3, END]), text(&[1, 2, 3, 4, END]), text(&[1, 1, 1, 1, 1, END])];
    assert_eq!(error(&long, Some(END)), PlanError::TooLong { text: 1, length: 5 });
    assert_eq!(error(&[text(&[1, 10])], None), PlanError::OutsideVocabulary { id: 10 });
    assert_eq!(error(&[text(&[-1, 1])], None), PlanError::OutsideVocabulary { id: -1 });
    assert!(sort(&[text(&[1, 9])], None, 2, 10).is_ok());
    assert!(sort(&[], None, 2, 10).unwrap().is_empty());
    let shown = |error: PlanError| error.to_string();
    assert_eq!(shown(PlanError::NoEnd { text: 1 }), "text 1 has no end-of-sequence id");
    assert_eq!(shown(PlanError::TooLong { text: 1, length: 5 }), "text 1 has 5 ids, more than there are positions");
    assert_eq!(shown(PlanError::OutsideVocabulary { id: 10 }), "id 10 is outside the vocabulary");
}
