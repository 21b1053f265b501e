//! Many texts at once, on several threads: into rows of one buffer, or counted.

use crate::chunk::{Buffers, Chunk, ChunkReport};
use crate::encode::EncodeScratch;
use crate::engine::Engine;
use crate::error::Error;
use crate::ids::Id;
use crate::nontemporal;
use crate::prefetch::read_ahead;
use crate::row::RowOptions;
use crate::scratch::ThreadScratch;
use crate::sink::Count;
use crate::threads::{Producer, parallel_map, run_producer};
use std::marker::PhantomData;
use std::ops::Range;

/// The buffers that a batch of `n` texts is written to.
#[derive(Debug)]
pub struct Rows<'a, T> {
    /// The ids, row after row: `n * width`.
    pub ids: &'a mut [T],
    /// The number of ids in each row without padding: `n`, if wanted.
    pub lengths: Option<&'a mut [i64]>,
    /// 1 for an id and 0 for padding: `n * width`, if wanted.
    pub mask: Option<&'a mut [i64]>,
}

/// What the caller has to know about a batch after its rows were filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// The row of the first text that was truncated.
    pub first_truncated: Option<usize>,
}

/// A source of texts that only the calling thread can read, while other threads encode what was read before.
pub trait TextSource<'t> {
    /// The error of reading.
    type Error: From<Error>;
    /// Appends the texts of these rows. All rows are asked for, in order.
    ///
    /// # Errors
    ///
    /// When a text cannot be read. Then no more rows are asked for.
    fn read(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Self::Error>;
    /// Calls `task`, which may block and does not read the source: the place to release an interpreter's lock.
    fn run_detached(&mut self, task: &mut (dyn FnMut() + Send)) {
        task();
    }
}

/// Texts in memory.
struct Slice<'t, S>(&'t [S]);

impl<'t, S: AsRef<str>> TextSource<'t> for Slice<'t, S> {
    type Error = Error;

    fn read(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Error> {
        texts.extend(self.0[rows].iter().map(AsRef::as_ref));
        Ok(())
    }
}

/// Texts per chunk: so many that queueing a chunk costs nothing, and so few that threads finish together and that texts
/// are still in the processor's cache when a thread encodes what the calling thread has read.
pub(crate) const CHUNK_TEXTS: usize = 512;

impl Engine {
    /// Writes one row per text.
    ///
    /// A text that does not fit is truncated: its row keeps the first ids and, with special tokens, ends with the end of
    /// text.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when the buffers' sizes do not match the texts, the width cannot hold the special tokens,
    /// or the ids' type cannot hold the largest id.
    pub fn fill_rows<T: Id, S: AsRef<str>>(
        &self,
        texts: &[S],
        rows: Rows<'_, T>,
        options: RowOptions,
        threads: usize,
    ) -> Result<BatchReport, Error> {
        self.fill_rows_from(&mut Slice(texts), texts.len(), rows, options, threads)
    }

    /// [`Engine::fill_rows`] with `count` texts that the calling thread reads from a source while others encode.
    ///
    /// # Errors
    ///
    /// As [`Engine::fill_rows`], and the source's.
    pub fn fill_rows_from<'t, T: Id, F: TextSource<'t>>(
        &self,
        source: &mut F,
        count: usize,
        rows: Rows<'_, T>,
        options: RowOptions,
        threads: usize,
    ) -> Result<BatchReport, F::Error> {
        self.check_rows::<T>(count, &rows, options)?;
        let bytes = size_of_val(rows.ids) + rows.mask.as_ref().map_or(0, |mask| size_of_val(&mask[..]));
        let chunk_ids = CHUNK_TEXTS * options.width.max(1);
        let mut producer = BatchProducer {
            source,
            rows: 0..count,
            ids: rows.ids.chunks_mut(chunk_ids),
            mask: rows.mask.map(|mask| mask.chunks_mut(chunk_ids)),
            lengths: rows.lengths.map(|lengths| lengths.chunks_mut(CHUNK_TEXTS)),
            non_temporal: bytes >= nontemporal::LARGE,
            texts: PhantomData,
        };
        let threads = threads.clamp(1, count.div_ceil(CHUNK_TEXTS).max(1));
        let reports = run_producer(&mut producer, threads, |chunk: Chunk<'_, 't, T>, buffers: &mut Buffers<T>| {
            chunk.fill(self, &options, buffers)
        })?;
        let mut all = BatchReport::default();
        for ChunkReport { first_truncated } in reports {
            all.first_truncated = [all.first_truncated, first_truncated].into_iter().flatten().min();
        }
        Ok(all)
    }

    fn check_rows<T: Id>(&self, n: usize, rows: &Rows<'_, T>, options: RowOptions) -> Result<(), Error> {
        let size = n.checked_mul(options.width);
        let fits = |len: Option<usize>, wanted: Option<usize>| len.is_none() || len == wanted;
        if size != Some(rows.ids.len())
            || !fits(rows.mask.as_ref().map(|mask| mask.len()), size)
            || !fits(rows.lengths.as_ref().map(|lengths| lengths.len()), Some(n))
        {
            return Err(Error::Argument(format!("the buffers do not have {n} rows of {} ids", options.width)));
        }
        if options.add_special_tokens && options.width < 2 {
            let message = format!("max_length is {}; start and end of text alone take 2", options.width);
            return Err(Error::Argument(message));
        }
        self.check_ids::<T>(options.pad)
    }

    pub(crate) fn check_ids<T: Id>(&self, pad: u32) -> Result<(), Error> {
        let largest = self.largest_id().max(pad);
        if largest > T::MAX {
            return Err(Error::Argument(format!("dtype: ids up to {largest} do not fit; its largest is {}", T::MAX)));
        }
        Ok(())
    }

    /// Writes the number of ids of each text, start and end of text included and untruncated.
    pub fn count<S: AsRef<str> + Sync>(&self, texts: &[S], counts: &mut [i64], threads: usize) {
        const SPECIAL: i64 = 2;
        let work = counts.chunks_mut(CHUNK_TEXTS).enumerate().map(|(i, counts)| (i * CHUNK_TEXTS, counts));
        parallel_map(work, threads, |(from, counts), scratch: &mut ThreadScratch<EncodeScratch>| {
            for (count, (_, text)) in counts.iter_mut().zip(read_ahead(&texts[from..])) {
                let mut sink = Count::default();
                self.encode_into(text.as_ref(), &mut sink, scratch);
                *count = sink.0 as i64 + SPECIAL;
            }
        });
    }
}

/// Joins the texts of a source with the rows that they go to, chunk by chunk.
struct BatchProducer<'s, 'a, 't, F, T> {
    source: &'s mut F,
    rows: Range<usize>,
    ids: std::slice::ChunksMut<'a, T>,
    mask: Option<std::slice::ChunksMut<'a, i64>>,
    lengths: Option<std::slice::ChunksMut<'a, i64>>,
    non_temporal: bool,
    texts: PhantomData<&'t str>,
}

impl<'a, 't, F: TextSource<'t>, T: Id> Producer for BatchProducer<'_, 'a, 't, F, T> {
    type Item = Chunk<'a, 't, T>;
    type Error = F::Error;

    fn next(&mut self) -> Option<Result<Self::Item, F::Error>> {
        let first_row = self.rows.start;
        let rows = first_row..self.rows.end.min(first_row + CHUNK_TEXTS);
        if rows.is_empty() {
            return None;
        }
        self.rows.start = rows.end;
        let mut texts = Vec::with_capacity(rows.len());
        if let Err(error) = self.source.read(rows, &mut texts) {
            return Some(Err(error));
        }
        Some(Ok(Chunk {
            first_row,
            texts,
            ids: self.ids.next().unwrap_or_default(),
            mask: self.mask.as_mut().and_then(Iterator::next),
            lengths: self.lengths.as_mut().and_then(Iterator::next),
            non_temporal: self.non_temporal,
        }))
    }

    fn run_detached(&mut self, task: &mut (dyn FnMut() + Send)) {
        self.source.run_detached(task);
    }
}
