//! Many texts at once: rows of one buffer, or counts, on as many threads as are worth it.

use crate::encode::Scratch;
use crate::engine::Engine;
use crate::error::Error;
use crate::piece::{Buffers, Piece, PieceReport};
use crate::row::{Row, Written};
use crate::sink::{Count, Id};
use crate::stream;
use crate::threads::{Foreman, in_threads, led_by};
use std::marker::PhantomData;
use std::ops::Range;

/// How rows are filled.
#[derive(Clone, Copy, Debug)]
pub struct RowOptions {
    /// Ids in a row.
    pub width: usize,
    /// What fills the rest of a row.
    pub pad: u32,
    /// Whether start and end of text are put around each text.
    pub add_special_tokens: bool,
    /// Whether the padding stands before the ids.
    pub pad_left: bool,
}

/// The rows of a batch: `ids` holds `width` per text, and so does `mask` where it is wanted; `lengths` holds one per
/// text.
#[derive(Debug)]
pub struct Rows<'a, T> {
    /// Ids, row after row.
    pub ids: &'a mut [T],
    /// Receives how many ids each row has, padding left out.
    pub lengths: Option<&'a mut [i64]>,
    /// Receives 1 for an id and 0 for padding.
    pub mask: Option<&'a mut [i64]>,
}

/// What a batch has left to do, and what did not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report<'t> {
    /// Texts that must be cleaned first, by row, in order; their rows are not written.
    pub needs_cleaning: Vec<(usize, &'t str)>,
    /// The first text that was cut.
    pub first_cut: Option<usize>,
}

/// Where texts come from that only the calling thread can get at, which others do not wait for.
pub trait Feed<'t> {
    /// Why it has none.
    type Error: From<Error>;
    /// Appends the texts of these rows. It is asked for all rows, in order.
    ///
    /// # Errors
    ///
    /// Whatever the feed has to say; then no more rows are asked for.
    fn take_up(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Self::Error>;
    /// Calls `work`, which takes a while and needs nothing of the feed.
    fn meanwhile(&mut self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}

/// Texts that are there already.
struct Slice<'t, S>(&'t [S]);

impl<'t, S: AsRef<str>> Feed<'t> for Slice<'t, S> {
    type Error = Error;

    fn take_up(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Error> {
        texts.extend(self.0[rows].iter().map(AsRef::as_ref));
        Ok(())
    }
}

/// Texts per piece of work: large enough that handing it out costs nothing, small enough that threads end together, and
/// that texts which the calling thread has taken up are still in the cache when they are encoded.
pub(crate) const CHUNK: usize = 512;

impl Engine {
    /// Writes one row per text.
    ///
    /// A text that does not fit is cut: its row keeps the first ids and, with special tokens, ends in the end of text.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when the buffers' sizes do not match the texts, the width cannot hold the special tokens,
    /// or the ids' type cannot hold the largest id.
    pub fn fill_rows<'t, T: Id, S: AsRef<str>>(
        &self,
        texts: &'t [S],
        rows: Rows<'_, T>,
        options: RowOptions,
        threads: usize,
    ) -> Result<Report<'t>, Error> {
        self.fill_rows_from(&mut Slice(texts), texts.len(), rows, options, threads)
    }

    /// [`Engine::fill_rows`] with `count` texts that the calling thread gets from a feed, while others encode those
    /// before.
    ///
    /// # Errors
    ///
    /// As [`Engine::fill_rows`], and the feed's.
    pub fn fill_rows_from<'t, T: Id, F: Feed<'t>>(
        &self,
        feed: &mut F,
        count: usize,
        rows: Rows<'_, T>,
        options: RowOptions,
        threads: usize,
    ) -> Result<Report<'t>, F::Error> {
        self.check_rows::<T>(count, &rows, options)?;
        let bytes = size_of_val(rows.ids) + rows.mask.as_ref().map_or(0, |mask| size_of_val(&mask[..]));
        let in_pieces = CHUNK * options.width.max(1);
        let mut pieces = Pieces {
            feed,
            rows: 0..count,
            ids: rows.ids.chunks_mut(in_pieces),
            mask: rows.mask.map(|mask| mask.chunks_mut(in_pieces)),
            lengths: rows.lengths.map(|lengths| lengths.chunks_mut(CHUNK)),
            past_caches: bytes >= stream::LARGE,
            texts: PhantomData,
        };
        let threads = threads.clamp(1, count.div_ceil(CHUNK).max(1));
        let reports = led_by(&mut pieces, threads, |piece: Piece<'_, 't, T>, buffers: &mut Buffers<T>| {
            piece.fill(self, &options, buffers)
        })?;
        let mut all = Report::default();
        for PieceReport { needs_cleaning, first_cut } in reports {
            all.needs_cleaning.extend(needs_cleaning);
            all.first_cut = [all.first_cut, first_cut].into_iter().flatten().min();
        }
        all.needs_cleaning.sort_unstable();
        Ok(all)
    }

    /// Writes the row of one text that needs cleaning, as [`Engine::encode_cleaned`] does. Returns how many ids it has
    /// and whether it was cut.
    ///
    /// # Errors
    ///
    /// Whatever `clean` fails with.
    pub fn fill_row_cleaned<T: Id, E>(
        &self,
        text: &str,
        row: &mut [T],
        mask: Option<&mut [i64]>,
        options: RowOptions,
        clean: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(usize, bool), E> {
        let mut row = Row::new(row, mask, [self.start, self.end], &options);
        self.encode_cleaning(text, clean, &mut row)?;
        let Written { length, cut } = row.written();
        Ok((length, cut))
    }

    fn check_rows<T: Id>(&self, n: usize, rows: &Rows<'_, T>, options: RowOptions) -> Result<(), Error> {
        let size = n.checked_mul(options.width);
        let fits = |len: Option<usize>, wanted: Option<usize>| len.is_none() || len == wanted;
        if size != Some(rows.ids.len())
            || !fits(rows.mask.as_ref().map(|mask| mask.len()), size)
            || !fits(rows.lengths.as_ref().map(|lengths| lengths.len()), Some(n))
        {
            return Err(Error::Argument(format!("the buffers are not of {n} rows of {} ids", options.width)));
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

    /// How many ids each text has, start and end of text included. `clean` is called for the texts that need
    /// cleaning, from this thread.
    ///
    /// # Errors
    ///
    /// Whatever `clean` fails with.
    pub fn count<S: AsRef<str> + Sync, E>(
        &self,
        texts: &[S],
        counts: &mut [i64],
        threads: usize,
        mut clean: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        const SPECIAL: i64 = 2;
        let work = counts.chunks_mut(CHUNK).enumerate().map(|(i, counts)| (i * CHUNK, counts));
        let uncleaned = in_threads(work, threads, |(from, counts), scratch: &mut Scratch| {
            let mut uncleaned = Vec::new();
            for (i, count) in counts.iter_mut().enumerate() {
                let mut sink = Count::default();
                if self.encode_into(texts[from + i].as_ref(), &mut sink, scratch).is_err() {
                    uncleaned.push(from + i);
                }
                *count = sink.0 as i64 + SPECIAL;
            }
            uncleaned
        });
        for i in uncleaned.into_iter().flatten() {
            let mut sink = Count::default();
            self.encode_cleaning(texts[i].as_ref(), &mut clean, &mut sink)?;
            counts[i] = sink.0 as i64 + SPECIAL;
        }
        Ok(())
    }
}

/// A batch's rows with the texts that a feed has for them, piece by piece.
struct Pieces<'f, 'a, 't, F, T> {
    feed: &'f mut F,
    rows: Range<usize>,
    ids: std::slice::ChunksMut<'a, T>,
    mask: Option<std::slice::ChunksMut<'a, i64>>,
    lengths: Option<std::slice::ChunksMut<'a, i64>>,
    past_caches: bool,
    texts: PhantomData<&'t str>,
}

impl<'a, 't, F: Feed<'t>, T: Id> Foreman for Pieces<'_, 'a, 't, F, T> {
    type Piece = Piece<'a, 't, T>;
    type Error = F::Error;

    fn prepare(&mut self) -> Option<Result<Self::Piece, F::Error>> {
        let from = self.rows.start;
        let rows = from..self.rows.end.min(from + CHUNK);
        if rows.is_empty() {
            return None;
        }
        self.rows.start = rows.end;
        let mut texts = Vec::with_capacity(rows.len());
        if let Err(error) = self.feed.take_up(rows, &mut texts) {
            return Some(Err(error));
        }
        Some(Ok(Piece {
            from,
            texts,
            ids: self.ids.next().unwrap_or_default(),
            mask: self.mask.as_mut().and_then(Iterator::next),
            lengths: self.lengths.as_mut().and_then(Iterator::next),
            past_caches: self.past_caches,
        }))
    }

    fn work(&mut self, work: &mut (dyn FnMut() + Send)) {
        self.feed.meanwhile(work);
    }
}
