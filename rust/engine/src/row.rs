//! One row of a batch: start of text, ids, end of text, padding, and the mask beside them.

use crate::batch::RowOptions;
use crate::sink::{Gathered, Id, Sink};

/// A row that is filled from the front, and remembers when something did not fit.
#[derive(Debug)]
pub(crate) struct Row<'a, T> {
    ids: &'a mut [T],
    mask: Option<&'a mut [i64]>,
    ends: Option<[T; 2]>,
    pad: u32,
    pad_left: bool,
    /// How many ids it has.
    len: usize,
    overflowed: bool,
}

/// What has become of a row: how many ids it has, padding left out, and whether there were more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) length: usize,
    pub(crate) cut: bool,
}

impl<'a, T: Id> Row<'a, T> {
    /// `ends` are the start and the end of text.
    #[inline(always)]
    pub(crate) fn new(ids: &'a mut [T], mask: Option<&'a mut [i64]>, ends: [u32; 2], options: &RowOptions) -> Self {
        let ends = options.add_special_tokens.then_some(ends.map(T::from_id));
        let (pad, pad_left) = (options.pad, options.pad_left);
        Self { ids, mask, ends, pad, pad_left, len: usize::from(ends.is_some()), overflowed: false }
    }

    /// What has become of it.
    #[inline(always)]
    pub(crate) fn written(&self) -> Written {
        Written { length: self.len, cut: self.overflowed }
    }

    /// How many ids fit, those before the end of text.
    #[inline(always)]
    fn room(&self) -> usize {
        self.ids.len() - usize::from(self.ends.is_some())
    }

    /// Everything but the ids of words, of which there are none to come.
    #[inline(always)]
    fn close(&mut self) {
        if let Some([start, end]) = self.ends {
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
    /// Writes all of a row at once, from the ids between two places, those that fit.
    #[inline(always)]
    pub(crate) fn write(&mut self, ids: &Gathered, from: usize, to: usize) {
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

/// The first `len` of `ids`, then `pad`: whole vectors, and no branch that depends on how long a text is. There are as many
/// ids as the row has places.
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

/// `len` ones, and zeros.
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
