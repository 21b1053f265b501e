//! Texts in sorted order, without repetitions, and the batches that they are split into.

use super::layout::Canonical;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

/// Below this many nodes a GPU is not full anyway, and a second batch costs more than padding.
const PADDING_IS_FREE: usize = 2048;

/// The ids of a sort key, and the bits of each: most comparisons need nothing else.
const KEY_IDS: usize = 6;
const KEY_BITS: u32 = 21;

/// Distinct texts in sorted order, each up to its end-of-sequence token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The rows' ids, one row after the other.
    pub(super) ids: Vec<i32>,
    /// Where rows begin, and the last one ends.
    pub(super) offsets: Vec<usize>,
    /// Length of the prefix in common with the row before; 0 for the first.
    pub(super) shared: Vec<usize>,
    /// Nodes of all rows up to this one, if they were one batch.
    nodes: Vec<usize>,
    /// The row of each text that was given.
    inverse: Vec<i64>,
}

/// What is wrong with texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// A text has no end-of-sequence id.
    NoEnd {
        /// Which text.
        text: usize,
    },
    /// A text is longer than the encoder's positions.
    TooLong {
        /// Which text.
        text: usize,
        /// Its ids up to the end-of-sequence id.
        length: usize,
    },
    /// An id is not in the encoder's vocabulary.
    OutsideVocabulary {
        /// The id.
        id: i32,
    },
    /// A row does not fit into any canonical size.
    NoSize {
        /// Its ids.
        length: usize,
        /// The nodes of the largest size.
        largest: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEnd { text } => write!(f, "text {text} has no end-of-sequence id"),
            Self::TooLong { text, length } => write!(f, "text {text} has {length} ids, more than there are positions"),
            Self::OutsideVocabulary { id } => write!(f, "id {id} is outside the vocabulary"),
            Self::NoSize { length, largest } => {
                write!(f, "a text has {length} tokens but a batch at most {largest} nodes")
            }
        }
    }
}

impl std::error::Error for PlanError {}

impl Window {
    /// Sorts the texts `ids[offsets[i]..offsets[i + 1]]`, each truncated behind its first `end_id`: causal attention
    /// never looks further. Without `end_id` they are whole.
    ///
    /// # Errors
    ///
    /// For the first text without `end_id` (or without ids, if there is none), then for the first with more than `positions` ids, then for an id that is
    /// negative or not below `vocabulary`.
    ///
    /// # Panics
    ///
    /// If `offsets` do not ascend within `ids`.
    ///
    /// ```
    /// use cliptok::prefix_plan::Window;
    ///
    /// let ids = [7, 5, 9, 7, 9, 7, 5, 9, 1];
    /// let window = Window::sort(&ids, &[0, 3, 5, 9], Some(9), 77, 10)?;
    /// assert_eq!((window.len(), window.inverse()), (2, &[0, 1, 0][..]));
    /// # Ok::<(), cliptok::prefix_plan::PlanError>(())
    /// ```
    pub fn sort(
        ids: &[i32],
        offsets: &[i64],
        end_id: Option<i32>,
        positions: usize,
        vocabulary: usize,
    ) -> Result<Self, PlanError> {
        let texts = truncated(ids, offsets, end_id, positions)?;
        let order = sorted(&texts, vocabulary)?;
        let mut window = Self {
            ids: Vec::with_capacity(texts.iter().map(|text| text.len()).sum()),
            offsets: vec![0],
            shared: Vec::with_capacity(texts.len()),
            nodes: Vec::with_capacity(texts.len()),
            inverse: vec![0; texts.len()],
        };
        let mut before: &[i32] = &[];
        for text in order {
            let row = texts[text as usize];
            let shared = before.iter().zip(row).take_while(|(a, b)| a == b).count();
            if shared < row.len() || before.len() != row.len() {
                window.ids.extend_from_slice(row);
                window.offsets.push(window.ids.len());
                window.shared.push(shared);
                window.nodes.push(window.nodes.last().unwrap_or(&0) + row.len() - shared);
                before = row;
            }
            window.inverse[text as usize] = window.shared.len() as i64 - 1;
        }
        Ok(window)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty()
    }

    /// The row of each text that was given.
    pub fn inverse(&self) -> &[i64] {
        &self.inverse
    }

    /// A row's ids.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[i32] {
        &self.ids[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Nodes before row `row` of a batch that begins with it. Such a batch computes its first row whole, also the prefix
    /// that it shares with the batch before.
    fn nodes_before(&self, row: usize) -> usize {
        self.nodes[row] - self.row(row).len()
    }

    /// Nodes of a batch of these rows, without padding.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    pub fn nodes(&self, rows: Range<usize>) -> usize {
        self.nodes[rows.end - 1] - self.nodes_before(rows.start)
    }

    /// Ranges of consecutive rows whose tries have at most `budget` nodes, or one row.
    pub fn split(&self, budget: usize) -> Vec<Range<usize>> {
        let mut batches = Vec::new();
        let mut start = 0;
        while start < self.len() {
            let most = self.nodes_before(start) + budget;
            let stop = self.nodes.partition_point(|&nodes| nodes <= most).max(start + 1);
            batches.push(start..stop);
            start = stop;
        }
        batches
    }

    /// Ranges of consecutive rows that fit canonical sizes (ascending), each with the size that it is padded to.
    ///
    /// Whole batches have the largest size. What is left is padded up to a size that it fills to three quarters, or
    /// else first fills the size below, so that little padding is computed.
    ///
    /// # Errors
    ///
    /// For a row that is longer than the largest size.
    pub fn split_canonical(&self, sizes: &[Canonical]) -> Result<Vec<(Range<usize>, Canonical)>, PlanError> {
        let mut batches = Vec::new();
        let mut start = 0;
        while start < self.len() {
            let before = self.nodes_before(start);
            let wanted = wanted(self.nodes[self.len() - 1] - before, self.row(start).len(), sizes)?;
            let texts = sizes.iter().filter(|size| size.nodes == wanted).map(|size| size.eos).max().unwrap_or(1);
            let stop = self.nodes.partition_point(|&nodes| nodes <= before + wanted).min(start + texts);
            let nodes = self.nodes[stop - 1] - before;
            let fits = sizes.iter().find(|size| size.nodes >= nodes && size.eos >= stop - start);
            batches.push((start..stop, *fits.ok_or(PlanError::NoSize { length: nodes, largest: wanted })?));
            start = stop;
        }
        Ok(batches)
    }
}

/// The nodes to fill a batch up to, where `remaining` nodes are left and the first row has `row` ids.
fn wanted(remaining: usize, row: usize, sizes: &[Canonical]) -> Result<usize, PlanError> {
    let largest = sizes.iter().map(|size| size.nodes).max().unwrap_or(0);
    if row > largest {
        return Err(PlanError::NoSize { length: row, largest });
    }
    let up = sizes.iter().map(|size| size.nodes).filter(|&nodes| nodes >= remaining).min().unwrap_or(largest);
    let down = sizes.iter().map(|size| size.nodes).filter(|&nodes| nodes < up).max().unwrap_or(up);
    let full = remaining >= up || remaining > up * 3 / 4;
    Ok(if full || up <= PADDING_IS_FREE || row > down { up } else { down })
}

/// Each text up to its first `end_id`, or whole.
fn truncated<'i>(
    ids: &'i [i32],
    offsets: &[i64],
    end_id: Option<i32>,
    positions: usize,
) -> Result<Vec<&'i [i32]>, PlanError> {
    let mut texts = Vec::with_capacity(offsets.len().saturating_sub(1));
    let mut too_long = None;
    for (text, bounds) in offsets.windows(2).enumerate() {
        let whole = &ids[bounds[0] as usize..bounds[1] as usize];
        let end = match end_id {
            Some(end_id) => whole.iter().position(|&id| id == end_id),
            None => whole.len().checked_sub(1),
        };
        let end = end.ok_or(PlanError::NoEnd { text })?;
        if end >= positions && too_long.is_none() {
            too_long = Some(PlanError::TooLong { text, length: end + 1 });
        }
        texts.push(&whole[..=end]);
    }
    too_long.map_or(Ok(texts), Err)
}

/// The numbers of the texts in ascending order of their ids, a prefix before what continues it.
fn sorted(texts: &[&[i32]], vocabulary: usize) -> Result<Vec<u32>, PlanError> {
    let largest = texts.iter().flat_map(|text| text.iter()).map(|&id| id as u32).max().unwrap_or(0);
    if largest as usize >= vocabulary {
        return Err(PlanError::OutsideVocabulary { id: largest as i32 });
    }
    // Texts begin with the same id, start of text, which tells nothing.
    let lead = usize::from(texts.windows(2).all(|pair| pair[0][0] == pair[1][0]));
    let mut keyed: Vec<(u128, u32)> = (0..).zip(texts).map(|(number, text)| (key(&text[lead..]), number)).collect();
    keyed.sort_unstable_by(|a, b| match a.0.cmp(&b.0) {
        Ordering::Equal => texts[a.1 as usize].cmp(texts[b.1 as usize]),
        other => other,
    });
    Ok(keyed.into_iter().map(|(_, number)| number).collect())
}

/// The first ids in one number that never orders texts otherwise than their ids do. (Nothing counts behind an id that
/// has not enough bits.)
fn key(ids: &[i32]) -> u128 {
    let most = (1 << KEY_BITS) - 1;
    let mut key = 0;
    for at in 0..KEY_IDS {
        let part = ids.get(at).map_or(0, |&id| (id as u32 + 1).min(most));
        key |= u128::from(part) << (KEY_BITS as usize * (KEY_IDS - 1 - at));
        if part == most {
            break;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key tells texts apart by their first ids, and never orders them otherwise than all of their ids do.
    #[test]
    fn keys_are_ordered_as_texts_are() {
        let large = 1 << KEY_BITS;
        let texts: [&[i32]; 10] =
            [&[], &[0], &[0, 0], &[0, 1], &[5], &[5, 0], &[5, 49407, 7], &[5, 49407, 8], &[large], &[large, 3]];
        for pair in texts.windows(2) {
            assert!(key(pair[0]) <= key(pair[1]), "{pair:?}");
        }
        assert!(texts[..9].windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert_eq!(key(&[large, 3]), key(&[large + 1, 2])); // behind what has not enough bits nothing counts
    }
}
