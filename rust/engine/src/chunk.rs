//! A chunk of a batch: up to 512 texts and their rows, which one thread fills.

use crate::encode::{Cleaned, EncodeScratch};
use crate::engine::Engine;
use crate::group::Group;
use crate::ids::Id;
use crate::interrupt::poll;
use crate::nontemporal;
use crate::row::{Row, RowOptions, Written};
use crate::scratch::ThreadScratch;

/// Texts, and the slices of the batch's buffers that they fill.
pub(crate) struct Chunk<'a, 't, T> {
    /// The row of the first text.
    pub(crate) first_row: usize,
    pub(crate) texts: Vec<&'t str>,
    pub(crate) ids: &'a mut [T],
    pub(crate) mask: Option<&'a mut [i64]>,
    pub(crate) lengths: Option<&'a mut [i64]>,
    /// Whether to write rows with non-temporal stores, since the batch is larger than the processor's caches.
    pub(crate) non_temporal: bool,
}

/// As `BatchReport`, in no particular order.
#[derive(Debug, Default)]
pub(crate) struct ChunkReport {
    pub(crate) first_truncated: Option<usize>,
}

/// A thread's buffers, reused from chunk to chunk.
#[derive(Debug)]
pub(crate) struct Buffers<T> {
    single: ThreadScratch<EncodeScratch>,
    group: ThreadScratch<Group>,
    /// Staging buffers of rows that are written with non-temporal stores.
    ids: Vec<T>,
    mask: Vec<i64>,
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { single: ThreadScratch::default(), group: ThreadScratch::default(), ids: Vec::new(), mask: Vec::new() }
    }
}

impl<'t, T: Id> Chunk<'_, 't, T> {
    pub(crate) fn fill(mut self, engine: &Engine, options: &RowOptions, buffers: &mut Buffers<T>) -> ChunkReport {
        poll();
        let mut report = ChunkReport::default();
        for (i, text) in std::mem::take(&mut self.texts).into_iter().enumerate() {
            let cleaned = engine.clean(text);
            let short = if let Cleaned::Whole(cleaned) = &cleaned { cleaned } else { text };
            if !buffers.group.add(engine, short, i) {
                let (ids, mask) = self.cells(i, 1, options.width);
                let mut row = Row::new(ids, mask, engine.start_and_end(), options);
                engine.encode_cleaned(text, &cleaned, &mut row, &mut buffers.single);
                let written = row.written();
                self.record(i, written, &mut report);
            }
            if buffers.group.is_full() {
                self.write_group(engine, options, buffers, &mut report);
            }
        }
        self.write_group(engine, options, buffers, &mut report);
        report
    }

    /// Looks up the words of a group's texts and writes their rows.
    fn write_group(
        &mut self,
        engine: &Engine,
        options: &RowOptions,
        buffers: &mut Buffers<T>,
        report: &mut ChunkReport,
    ) {
        let Buffers { group, ids: staged_ids, mask: staged_mask, .. } = buffers;
        let (specials, width) = (engine.start_and_end(), options.width);
        engine.instructions.run(
            #[inline(always)]
            || {
                group.look_up(engine);
                for texts in group.runs() {
                    let (first, count) = (texts[0].number, texts.len());
                    if self.non_temporal {
                        staged_ids.resize(count * width, T::from_id(0));
                        staged_mask.resize(if self.mask.is_some() { count * width } else { 0 }, 0);
                    }
                    for (at, text) in texts.iter().enumerate() {
                        let (ids, mask) = if self.non_temporal {
                            let cells = at * width..(at + 1) * width;
                            (&mut staged_ids[cells.clone()], staged_mask.get_mut(cells).filter(|mask| !mask.is_empty()))
                        } else {
                            self.cells(text.number, 1, width)
                        };
                        let mut row = Row::new(ids, mask, specials, options);
                        row.write(group.ids(), text.from, text.to);
                        let written = row.written();
                        self.record(text.number, written, report);
                    }
                    if self.non_temporal {
                        let (ids, mask) = self.cells(first, count, width);
                        nontemporal::copy(ids, staged_ids);
                        if let Some(mask) = mask {
                            nontemporal::copy(mask, staged_mask);
                        }
                    }
                }
            },
        );
        group.clear();
    }

    /// The slices of `count` rows from row `first` of the chunk.
    fn cells(&mut self, first: usize, count: usize, width: usize) -> (&mut [T], Option<&mut [i64]>) {
        let cells = first * width..(first + count) * width;
        let mask = self.mask.as_deref_mut().map(|mask| &mut mask[cells.clone()]);
        (&mut self.ids[cells], mask)
    }

    /// Records the outcome of the row of text `i`.
    #[inline(always)]
    fn record(&mut self, i: usize, Written { length, truncated }: Written, report: &mut ChunkReport) {
        if truncated {
            let first = report.first_truncated.get_or_insert(self.first_row + i);
            *first = (self.first_row + i).min(*first);
        }
        if let Some(lengths) = &mut self.lengths {
            lengths[i] = length as i64;
        }
    }
}
