//! One row of a batch: start of text, ids, end of text and padding, and its attention mask.

use crate::id_buffer::IdBuffer;
use crate::ids::Id;
use crate::sink::Sink;

/// How rows are filled.
#[derive(Clone, Copy, Debug)]
pub struct RowOptions {
    /// The ids in a row, padding included.
    pub width: usize,
    /// The id that fills the rest of a row.
    pub pad: u32,
    /// Whether start and end of text are put around each text.
    pub add_special_tokens: bool,
    /// Whether the padding stands before the ids.
    pub pad_left: bool,
}

/// A sink that fills one row from the left and remembers whether ids did not fit.
#[derive(Debug)]
pub(crate) struct Row<'a, T> {
    ids: &'a mut [T],
    mask: Option<&'a mut [i64]>,
    /// Start and end of text, if they are to be added.
    specials: Option<[T; 2]>,
    pad: u32,
    pad_left: bool,
    /// The ids written so far, including the slot of the start of text.
    len: usize,
    overflowed: bool,
}

/// The outcome of a row: how many ids it has, padding left out, and whether there were more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) length: usize,
    pub(crate) truncated: bool,
}

impl<'a, T: Id> Row<'a, T> {
    /// `specials` are the start and the end of text.
    #[inline(always)]
    pub(crate) fn new(ids: &'a mut [T], mask: Option<&'a mut [i64]>, specials: [u32; 2], options: &RowOptions) -> Self {
        let specials = options.add_special_tokens.then_some(specials.map(T::from_id));
        let (pad, pad_left) = (options.pad, options.pad_left);
        Self { ids, mask, specials, pad, pad_left, len: usize::from(specials.is_some()), overflowed: false }
    }

    #[inline(always)]
    pub(crate) fn written(&self) -> Written {
        Written { length: self.len, truncated: self.overflowed }
    }

    /// The slots that ids of words may fill, start of text included: all but that of the end of text.
    #[inline(always)]
    fn room(&self) -> usize {
        self.ids.len() - usize::from(self.specials.is_some())
    }

    /// Completes the row once its ids and its padding are written: specials, mask, and the side of the padding.
    #[inline(always)]
    fn close(&mut self) {
        if let Some([start, end]) = self.specials {
            self.ids[0] = start;
            self.ids[self.len] = end;
            self.len += 1;
        }
        if let Some(mask) = self.mask.as_deref_mut() {
            write_mask(mask, self.len);
        }
        if self.pad_left {
            let padding = self.ids.len() - self.len;
            self.ids.rotate_right(padding);
            self.mask.as_deref_mut().into_iter().for_each(|mask| mask.rotate_right(padding));
        }
    }
}

impl<T: Id> Sink for Row<'_, T> {
    fn take(&mut self, ids: &[u16]) -> bool {
        let room = self.room();
        let rest = &mut self.ids[self.len..room];
        let slots = rest.len();
        rest.iter_mut().zip(ids).for_each(|(slot, &id)| *slot = T::from_id(id.into()));
        self.len += slots.min(ids.len());
        self.overflowed |= slots < ids.len();
        !self.overflowed
    }

    fn push(&mut self, id: u32) -> bool {
        self.overflowed |= self.len == self.room();
        if !self.overflowed {
            self.ids[self.len] = T::from_id(id);
            self.len += 1;
        }
        !self.overflowed
    }

    fn finish(&mut self) {
        self.ids[self.len..].fill(T::from_id(self.pad));
        self.close();
    }
}

impl<T: Id> Row<'_, T> {
    /// Writes a whole row from the ids `from..to` of a buffer, as many as fit.
    #[inline(always)]
    pub(crate) fn write(&mut self, ids: &IdBuffer, from: usize, to: usize) {
        let fitting = to.min(from + self.room() - self.len);
        self.overflowed = fitting < to;
        let (row, pad) = (ids.row(from, self.len, self.ids.len()), u16::try_from(self.pad));
        if let (Some(row), Ok(pad)) = (row, pad) {
            self.len += fitting - from;
            write_padded(self.ids, row, self.len, pad);
            self.close();
        } else {
            self.take(ids.between(from, fitting));
            self.finish();
        }
    }
}

/// Writes the first `len` of `ids`, then `pad`. `ids` is as long as the row, so that whole vectors are written, without
/// a branch that depends on the length of the text.
#[inline(always)]
fn write_padded<T: Id>(row: &mut [T], ids: &[u16], len: usize, pad: u16) {
    const BLOCK: usize = 16;
    let one = |at: usize, id: u16| {
        let keep = u16::from((at as u16) < len as u16).wrapping_neg();
        T::from_id((id & keep | pad & !keep).into())
    };
    let block = |at: usize, ids: &[u16; BLOCK]| -> [T; BLOCK] { std::array::from_fn(|i| one(at + i, ids[i])) };
    for (i, (row, ids)) in row.as_chunks_mut().0.iter_mut().zip(ids.as_chunks().0).enumerate() {
        *row = block(i * BLOCK, ids);
    }
    let width = row.len();
    if let (Some(row), Some(ids)) = (row.last_chunk_mut(), ids.last_chunk()) {
        *row = block(width - BLOCK, ids);
    } else {
        row.iter_mut().zip(ids).enumerate().for_each(|(i, (slot, &id))| *slot = one(i, id));
    }
}

/// Writes `len` ones, then zeros.
#[inline(always)]
fn write_mask(mask: &mut [i64], len: usize) {
    const MOST: usize = 128;
    static ONES_AND_ZEROS: [i64; 2 * MOST] = {
        let mut all = [0; 2 * MOST];
        let mut i = 0;
        while i < MOST {
            all[i] = 1;
            i += 1;
        }
        all
    };
    if mask.len() <= MOST {
        mask.copy_from_slice(&ONES_AND_ZEROS[MOST - len..][..mask.len()]);
    } else {
        mask[..len].fill(1);
        mask[len..].fill(0);
    }
}
