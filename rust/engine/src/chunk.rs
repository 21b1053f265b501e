//! A chunk of a batch: up to 512 texts and their rows, which one thread fills.

use crate::encode::{Cleaned, EncodeScratch};
use crate::engine::Engine;
use crate::group::{Group, Next};
use crate::id_buffer::IdBuffer;
use crate::ids::Id;
use crate::instructions::{Set, Task};
use crate::interrupt::poll;
use crate::nontemporal;
use crate::prefetch::read_ahead;
use crate::row::{Row, RowOptions, RowWriter, Written};
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

/// Scans texts into a group.
struct Fill<'a, I> {
    group: &'a mut Group,
    engine: &'a Engine,
    texts: &'a mut I,
}

impl<'t, I: Iterator<Item = (usize, &'t str)>> Task for Fill<'_, I> {
    type Output = Option<Next<'t>>;

    #[inline(always)]
    fn run<S: Set>(self) -> Option<Next<'t>> {
        self.group.fill::<S>(self.engine, self.texts)
    }
}

/// Writes the rows of a group whose words were looked up.
struct WriteRows<'w, 'a, 't, 'o, T> {
    chunk: &'w mut Chunk<'a, 't, T>,
    group: &'w Group,
    writer: RowWriter<'o, T>,
    staged_ids: &'w mut Vec<T>,
    staged_mask: &'w mut Vec<i64>,
    report: &'w mut ChunkReport,
}

impl<T: Id> Task for WriteRows<'_, '_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self) {
        let Self { chunk, group, mut writer, staged_ids, staged_mask, report } = self;
        let (first_row, non_temporal, width) = (chunk.first_row, chunk.non_temporal, writer.width());
        let mut from = IdBuffer::BEGIN;
        for texts in group.runs() {
            let first = texts[0].number;
            let (ids, mut mask, mut lengths) = chunk.rows(first, texts.len(), width);
            let (mut rows, mut masks) = (&mut *ids, mask.as_deref_mut());
            if non_temporal {
                staged_ids.resize(rows.len(), T::from_id(0));
                staged_mask.resize(masks.as_ref().map_or(0, |masks| masks.len()), 0);
                (rows, masks) = (&mut staged_ids[..], masks.map(|_| &mut staged_mask[..]));
            }
            for (at, text) in texts.iter().enumerate() {
                let (row, to) = (at * width..(at + 1) * width, group.end(text));
                let mask = masks.as_deref_mut().map(|masks| &mut masks[row.clone()]);
                let Written { length, truncated } = writer.write(&mut rows[row], mask, group.ids(), from, to);
                from = to;
                if let Some(lengths) = &mut lengths {
                    lengths[at] = length as i64;
                }
                if truncated {
                    report.add_truncated(first_row + first + at);
                }
            }
            if non_temporal {
                nontemporal::copy::<S, T>(ids, staged_ids);
                if let Some(mask) = &mut mask {
                    nontemporal::copy::<S, i64>(mask, staged_mask);
                }
            }
        }
    }
}

/// Ids, mask and lengths of some rows.
type RowSlices<'a, T> = (&'a mut [T], Option<&'a mut [i64]>, Option<&'a mut [i64]>);

impl ChunkReport {
    #[cold]
    fn add_truncated(&mut self, row: usize) {
        self.first_truncated = Some(self.first_truncated.map_or(row, |first| first.min(row)));
    }
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { single: ThreadScratch::default(), group: ThreadScratch::default(), ids: Vec::new(), mask: Vec::new() }
    }
}

impl<T: Id> Chunk<'_, '_, T> {
    pub(crate) fn fill(mut self, engine: &Engine, options: &RowOptions, buffers: &mut Buffers<T>) -> ChunkReport {
        poll();
        let mut report = ChunkReport::default();
        let texts = std::mem::take(&mut self.texts);
        let all = &texts[..];
        let mut texts = read_ahead(all).map(|(number, text)| (number, *text));
        loop {
            let next = engine.instructions.run_task(Fill { group: &mut buffers.group, engine, texts: &mut texts });
            if buffers.group.is_full() || next.is_none() {
                self.write_group(engine, options, buffers, &mut report);
                for number in std::mem::take(&mut buffers.group.stopped) {
                    let cleaned = engine.clean(all[number]);
                    self.write_single(engine, options, buffers, &mut report, (number, all[number], cleaned));
                }
            }
            match next {
                Some(Next::Full) => {}
                Some(Next::Single(number, text, cleaned)) => {
                    self.write_single(engine, options, buffers, &mut report, (number, text, cleaned));
                }
                None => break,
            }
        }
        nontemporal::fence();
        report
    }

    /// Writes the row of a text, of which it is known what cleaning makes.
    fn write_single(
        &mut self,
        engine: &Engine,
        options: &RowOptions,
        buffers: &mut Buffers<T>,
        report: &mut ChunkReport,
        (number, text, cleaned): (usize, &str, Cleaned),
    ) {
        let (ids, mask, lengths) = self.rows(number, 1, options.width);
        let mut row = Row::new(ids, mask, engine.start_and_end(), options);
        engine.encode_cleaned(text, &cleaned, &mut row, &mut buffers.single);
        let Written { length, truncated } = row.written();
        lengths.into_iter().flatten().for_each(|slot| *slot = length as i64);
        if truncated {
            report.add_truncated(self.first_row + number);
        }
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
        // Apart from the rows: in one function, the loop's constants would not stay in registers.
        engine.instructions.run(
            #[inline(always)]
            || group.look_up(engine),
        );
        let writer = RowWriter::new(engine.start_and_end(), options);
        engine.instructions.run_task(WriteRows { chunk: self, group, writer, staged_ids, staged_mask, report });
        group.clear();
    }

    /// The ids, the mask and the lengths of `count` rows from row `first` of the chunk.
    #[inline(always)]
    fn rows(&mut self, first: usize, count: usize, width: usize) -> RowSlices<'_, T> {
        let cells = first * width..(first + count) * width;
        let mask = self.mask.as_deref_mut().map(|mask| &mut mask[cells.clone()]);
        let lengths = self.lengths.as_deref_mut().map(|lengths| &mut lengths[first..first + count]);
        (&mut self.ids[cells], mask, lengths)
    }
}
