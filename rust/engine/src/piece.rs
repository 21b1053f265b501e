//! A piece of a batch: some texts and their rows, which one thread fills.

use crate::batch::RowOptions;
use crate::encode::Scratch;
use crate::engine::Engine;
use crate::group::Group;
use crate::row::{Row, Written};
use crate::sink::Id;
use crate::spare::Spare;
use crate::stream;

/// Texts, and where what becomes of them goes.
pub(crate) struct Piece<'a, 't, T> {
    /// The row of the first text.
    pub(crate) from: usize,
    pub(crate) texts: Vec<&'t str>,
    pub(crate) ids: &'a mut [T],
    pub(crate) mask: Option<&'a mut [i64]>,
    pub(crate) lengths: Option<&'a mut [i64]>,
    /// Whether the batch is so large that its rows are written past the caches.
    pub(crate) past_caches: bool,
}

/// What a piece has left to do, and what did not fit, by row.
#[derive(Debug, Default)]
pub(crate) struct PieceReport<'t> {
    pub(crate) needs_cleaning: Vec<(usize, &'t str)>,
    pub(crate) first_cut: Option<usize>,
}

/// A thread's buffers, used again from piece to piece.
#[derive(Debug)]
pub(crate) struct Buffers<T> {
    general: Spare<Scratch>,
    group: Spare<Group>,
    /// Rows on their way past the caches.
    ids: Vec<T>,
    mask: Vec<i64>,
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { general: Spare::default(), group: Spare::default(), ids: Vec::new(), mask: Vec::new() }
    }
}

impl<'t, T: Id> Piece<'_, 't, T> {
    pub(crate) fn fill(mut self, engine: &Engine, options: &RowOptions, buffers: &mut Buffers<T>) -> PieceReport<'t> {
        let mut report = PieceReport::default();
        for (i, text) in std::mem::take(&mut self.texts).into_iter().enumerate() {
            if engine.needs_cleaning(text) {
                report.needs_cleaning.push((self.from + i, text));
            } else if !buffers.group.add(engine, text, i) {
                let (ids, mask) = self.cells(i, 1, options.width);
                let mut row = Row::new(ids, mask, engine.start_and_end(), options);
                engine.encode_uncleaned(text, &mut row, &mut buffers.general);
                let written = row.written();
                self.note(i, written, &mut report);
            }
            if buffers.group.is_full() {
                self.write_group(engine, options, buffers, &mut report);
            }
        }
        self.write_group(engine, options, buffers, &mut report);
        report
    }

    /// Writes the rows of a group's texts.
    fn write_group(
        &mut self,
        engine: &Engine,
        options: &RowOptions,
        buffers: &mut Buffers<T>,
        report: &mut PieceReport<'t>,
    ) {
        let Buffers { group, ids: near_ids, mask: near_mask, .. } = buffers;
        let (ends, width) = (engine.start_and_end(), options.width);
        engine.instructions.run(
            #[inline(always)]
            || {
                group.look_up(engine);
                for texts in group.neighbours() {
                    let (first, count) = (texts[0].number, texts.len());
                    if self.past_caches {
                        near_ids.resize(count * width, T::from_id(0));
                        near_mask.resize(if self.mask.is_some() { count * width } else { 0 }, 0);
                    }
                    for (at, text) in texts.iter().enumerate() {
                        let (ids, mask) = if self.past_caches {
                            let cells = at * width..(at + 1) * width;
                            (&mut near_ids[cells.clone()], near_mask.get_mut(cells).filter(|mask| !mask.is_empty()))
                        } else {
                            self.cells(text.number, 1, width)
                        };
                        let mut row = Row::new(ids, mask, ends, options);
                        row.write(group.ids(), text.from, text.to);
                        let written = row.written();
                        self.note(text.number, written, report);
                    }
                    if self.past_caches {
                        let (ids, mask) = self.cells(first, count, width);
                        stream::copy(ids, near_ids);
                        if let Some(mask) = mask {
                            stream::copy(mask, near_mask);
                        }
                    }
                }
            },
        );
        group.clear();
    }

    /// The places of some rows.
    fn cells(&mut self, first: usize, count: usize, width: usize) -> (&mut [T], Option<&mut [i64]>) {
        let cells = first * width..(first + count) * width;
        let mask = self.mask.as_deref_mut().map(|mask| &mut mask[cells.clone()]);
        (&mut self.ids[cells], mask)
    }

    /// Takes note of what the row of text `i` has become.
    #[inline(always)]
    fn note(&mut self, i: usize, Written { length, cut }: Written, report: &mut PieceReport<'t>) {
        if cut {
            let first = report.first_cut.get_or_insert(self.from + i);
            *first = (self.from + i).min(*first);
        }
        if let Some(lengths) = &mut self.lengths {
            lengths[i] = length as i64;
        }
    }
}
