//! One row of a batch: start of text, ids, end of text and padding, and its attention mask.

use crate::id_buffer::{IdBuffer, ROW};
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
    fn close(&mut self) {
        if let Some([start, end]) = self.specials {
            self.ids[0] = start;
            self.ids[self.len] = end;
            self.len += 1;
        }
        if let Some(mask) = self.mask.as_deref_mut() {
            write_mask(mask, self.len, self.pad_left);
        }
        if self.pad_left {
            self.ids.rotate_right(self.ids.len() - self.len);
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

/// Writes whole rows of short texts from an id buffer: what [`Row`] does, with everything that rows have in common
/// computed once.
#[derive(Debug)]
pub(crate) struct RowWriter<'o, T> {
    options: &'o RowOptions,
    specials: [u32; 2],
    start_and_end: [T; 2],
    pad: u16,
    /// A row in 16-bit integers, with its padding.
    padded: Padded,
    /// Whether rows can be written as whole vectors.
    is_narrow: bool,
    /// Slots before and after the ids of words.
    before: usize,
    /// The ids of words that fit.
    room: usize,
}

/// Aligned, so that no vector crosses a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Padded([u16; MAX_WIDTH]);

/// Ids that are written at once.
const BLOCK: usize = 16;
/// The widest row that is written as whole vectors.
const MAX_WIDTH: usize = ROW;
/// The width of CLIP's rows, for which the loops are unrolled.
const CLIP_WIDTH: usize = 77;
/// All bits, then none: from the right place on, a mask of the first ids of a row.
static KEEP: [u16; 3 * MAX_WIDTH] = {
    let mut keep = [0; 3 * MAX_WIDTH];
    let mut i = 0;
    while i < MAX_WIDTH {
        keep[i] = u16::MAX;
        i += 1;
    }
    keep
};

impl<'o, T: Id> RowWriter<'o, T> {
    /// `specials` are the start and the end of text. Rows must have room for them.
    pub(crate) fn new(specials: [u32; 2], options: &'o RowOptions) -> Self {
        let before = usize::from(options.add_special_tokens);
        let (room, pad) = (options.width - 2 * before, u16::try_from(options.pad));
        let is_narrow = options.width <= MAX_WIDTH && pad.is_ok();
        let start_and_end = specials.map(T::from_id);
        Self {
            options,
            specials,
            start_and_end,
            pad: pad.unwrap_or(0),
            padded: Padded([0; MAX_WIDTH]),
            is_narrow,
            before,
            room,
        }
    }

    #[inline(always)]
    pub(crate) fn width(&self) -> usize {
        self.options.width
    }

    /// Writes the ids `from..to` of a buffer, as many as fit, and the mask if there is one.
    #[inline(always)]
    pub(crate) fn write(
        &mut self,
        row: &mut [T],
        mask: Option<&mut [i64]>,
        ids: &IdBuffer,
        from: usize,
        to: usize,
    ) -> Written {
        let fitting = to.min(from + self.room);
        let len = self.before + fitting - from;
        if !self.is_narrow {
            return self.write_wide(row, mask, ids.between(from, to));
        }
        let (slots, keep) = (ids.row(from - self.before), keep_first(len));
        if let Ok(row) = <&mut [T; CLIP_WIDTH]>::try_from(&mut *row) {
            pad(&mut self.padded.0, slots, keep, self.pad, const { CLIP_WIDTH.div_ceil(BLOCK) });
            widen(row, &self.padded.0);
        } else {
            pad(&mut self.padded.0, slots, keep, self.pad, row.len().div_ceil(BLOCK));
            widen(row, &self.padded.0);
        }
        if self.before > 0 {
            row[0] = self.start_and_end[0];
            row[len] = self.start_and_end[1];
        }
        let length = len + self.before;
        if self.options.pad_left {
            row.rotate_right(row.len() - length);
        }
        if let Some(mask) = mask {
            write_mask(mask, length, self.options.pad_left);
        }
        Written { length, truncated: fitting < to }
    }

    #[cold]
    fn write_wide(&self, row: &mut [T], mask: Option<&mut [i64]>, ids: &[u16]) -> Written {
        let mut row = Row::new(row, mask, self.specials, self.options);
        row.take(ids);
        row.finish();
        row.written()
    }
}

/// A mask of the first `len` of [`MAX_WIDTH`] ids, of which there are not more.
#[inline(always)]
fn keep_first(len: usize) -> &'static [u16; MAX_WIDTH] {
    KEEP[MAX_WIDTH.wrapping_sub(len) & (2 * MAX_WIDTH - 1)..].first_chunk().unwrap_or(&[0; MAX_WIDTH])
}

/// Fills whole vectors with the ids to keep and with padding, and without a branch that depends on the length of the text.
#[inline(always)]
fn pad(padded: &mut [u16; MAX_WIDTH], ids: &[u16; MAX_WIDTH], keep: &[u16; MAX_WIDTH], pad: u16, blocks: usize) {
    let (padded, ids, keep) =
        (padded.as_chunks_mut::<BLOCK>().0, ids.as_chunks::<BLOCK>().0, keep.as_chunks::<BLOCK>().0);
    for ((padded, ids), keep) in padded.iter_mut().zip(ids).zip(keep).take(blocks) {
        *padded = std::array::from_fn(|i| (ids[i] ^ pad) & keep[i] ^ pad);
    }
}

/// Writes the first ids of `padded` to a row. Apart from [`pad`]: in one loop, the compiler would widen each 16-bit integer
/// before it is padded.
#[inline(always)]
fn widen<T: Id>(row: &mut [T], padded: &[u16; MAX_WIDTH]) {
    let width = row.len();
    let block = |slots: &mut [T; BLOCK], ids: &[u16; BLOCK]| *slots = ids.map(|id| T::from_id(id.into()));
    // The last block overlaps the one before.
    if let (Some(slots), Some(ids)) = (row.last_chunk_mut(), padded[..width].last_chunk()) {
        block(slots, ids);
        row.as_chunks_mut().0.iter_mut().zip(padded.as_chunks().0).for_each(|(slots, ids)| block(slots, ids));
    } else {
        row.iter_mut().zip(padded).for_each(|(slot, &id)| *slot = T::from_id(id.into()));
    }
}

/// Writes `length` ones and zeros for the padding, which stands on the left or on the right.
#[inline(always)]
fn write_mask(mask: &mut [i64], length: usize, pad_left: bool) {
    if mask.len() <= MAX_WIDTH {
        let keep = &keep_first(length)[..mask.len()];
        mask.iter_mut().zip(keep).for_each(|(slot, &keep)| *slot = (keep & 1).into());
    } else {
        mask[..length].fill(1);
        mask[length..].fill(0);
    }
    if pad_left {
        mask.rotate_right(mask.len() - length);
    }
}
