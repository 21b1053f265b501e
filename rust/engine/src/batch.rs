//! Many texts at once: rows of one buffer, joined ids, or counts, on as many threads as are worth it.

use crate::encode::{NeedsCleaning, Scratch};
use crate::engine::Engine;
use crate::error::Error;
use crate::sink::{Count, Id, Row, Sink};
use std::sync::Mutex;

/// Texts by index, borrowed from wherever they are.
pub trait Texts: Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// The text at `i`, which is below [`Texts::len`].
    fn get(&self, i: usize) -> &str;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: AsRef<str> + Sync> Texts for [S] {
    fn len(&self) -> usize {
        <[S]>::len(self)
    }

    fn get(&self, i: usize) -> &str {
        self[i].as_ref()
    }
}

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
pub struct Report {
    /// Texts that must be cleaned first, in order; their rows are not written.
    pub needs_cleaning: Vec<usize>,
    /// The first text that was cut.
    pub first_cut: Option<usize>,
}

/// Texts per piece of work: large enough that handing it out costs nothing, small enough that threads end together.
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
    pub fn fill_rows<T: Id, X: Texts + ?Sized>(
        &self,
        texts: &X,
        rows: Rows<'_, T>,
        options: RowOptions,
        threads: usize,
    ) -> Result<Report, Error> {
        self.fill_rows_led(texts, rows, options, threads, |run| run())
    }

    /// [`Engine::fill_rows`], of which `lead` is the calling thread's part: it calls its argument to take its share
    /// of the work, and can do something else first, while the other threads are at work already.
    ///
    /// # Errors
    ///
    /// As [`Engine::fill_rows`]; then `lead` is not called.
    pub fn fill_rows_led<T: Id, X: Texts + ?Sized>(
        &self,
        texts: &X,
        rows: Rows<'_, T>,
        options: RowOptions,
        threads: usize,
        lead: impl FnOnce(&mut (dyn FnMut() + Send)),
    ) -> Result<Report, Error> {
        let (n, width) = (texts.len(), options.width);
        self.check_rows::<T>(n, &rows, options)?;
        if n == 0 {
            return Ok(Report::default());
        }
        let mut ids = rows.ids.chunks_mut((CHUNK * width).max(1));
        let mut masks = rows.mask.map(|mask| mask.chunks_mut((CHUNK * width).max(1)));
        let mut lengths = rows.lengths.map(|lengths| lengths.chunks_mut(CHUNK));
        let work = (0..n).step_by(CHUNK).map(move |from| Piece {
            from,
            to: (from + CHUNK).min(n),
            ids: ids.next().unwrap_or_default(),
            mask: masks.as_mut().and_then(Iterator::next),
            lengths: lengths.as_mut().and_then(Iterator::next),
        });
        let reports = in_threads_led(work, threads, lead, |piece: Piece<'_, T>, scratch| {
            let Piece { from, to, ids, mut mask, mut lengths } = piece;
            let mut report = Report::default();
            for i in from..to {
                let at = i - from;
                let row = &mut ids[at * width..][..width];
                let Ok((length, cut)) = self.fill_row(texts.get(i), row, options, scratch) else {
                    report.needs_cleaning.push(i);
                    continue;
                };
                if cut {
                    report.first_cut.get_or_insert(i);
                }
                if let Some(lengths) = &mut lengths {
                    lengths[at] = length as i64;
                }
                if let Some(mask) = &mut mask {
                    fill_mask(&mut mask[at * width..][..width], length, options.pad_left);
                }
            }
            report
        });
        let mut all = Report::default();
        for report in reports {
            all.needs_cleaning.extend(report.needs_cleaning);
            all.first_cut = [all.first_cut, report.first_cut].into_iter().flatten().min();
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
        let (length, cut) = self.frame_row(row, options, |sink| self.encode_cleaning(text, clean, sink))?;
        if let Some(mask) = mask {
            fill_mask(mask, length, options.pad_left);
        }
        Ok((length, cut))
    }

    fn fill_row<T: Id>(
        &self,
        text: &str,
        row: &mut [T],
        options: RowOptions,
        scratch: &mut Scratch,
    ) -> Result<(usize, bool), NeedsCleaning> {
        self.frame_row(row, options, |sink| self.encode_into(text, sink, scratch))
    }

    /// Start of text, what `encode` writes, end of text, padding.
    fn frame_row<T: Id, E>(
        &self,
        row: &mut [T],
        options: RowOptions,
        encode: impl FnOnce(&mut Row<'_, T>) -> Result<(), E>,
    ) -> Result<(usize, bool), E> {
        let special = usize::from(options.add_special_tokens);
        let room = row.len() - special;
        let mut sink = Row::new(&mut row[..room]);
        if options.add_special_tokens {
            sink.push(self.start);
        }
        encode(&mut sink)?;
        let (mut length, cut) = (sink.len(), sink.overflowed());
        if options.add_special_tokens {
            row[length] = T::from_id(self.end);
            length += 1;
        }
        row[length..].fill(T::from_id(options.pad));
        if options.pad_left {
            row.rotate_right(options.width - length);
        }
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
    pub fn count<X: Texts + ?Sized, E>(
        &self,
        texts: &X,
        counts: &mut [i64],
        threads: usize,
        mut clean: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        const SPECIAL: i64 = 2;
        let work = counts.chunks_mut(CHUNK).enumerate().map(|(i, counts)| (i * CHUNK, counts));
        let uncleaned = in_threads(work, threads, |(from, counts), scratch| {
            let mut uncleaned = Vec::new();
            for (i, count) in counts.iter_mut().enumerate() {
                let mut sink = Count::default();
                if self.encode_into(texts.get(from + i), &mut sink, scratch).is_err() {
                    uncleaned.push(from + i);
                }
                *count = sink.0 as i64 + SPECIAL;
            }
            uncleaned
        });
        for i in uncleaned.into_iter().flatten() {
            let mut sink = Count::default();
            self.encode_cleaning(texts.get(i), &mut clean, &mut sink)?;
            counts[i] = sink.0 as i64 + SPECIAL;
        }
        Ok(())
    }
}

/// One thread's share of a batch's rows.
struct Piece<'a, T> {
    from: usize,
    to: usize,
    ids: &'a mut [T],
    mask: Option<&'a mut [i64]>,
    lengths: Option<&'a mut [i64]>,
}

fn fill_mask(mask: &mut [i64], length: usize, pad_left: bool) {
    let padding = mask.len() - length;
    let (ones, zeros) = if pad_left {
        let (zeros, ones) = mask.split_at_mut(padding);
        (ones, zeros)
    } else {
        mask.split_at_mut(length)
    };
    ones.fill(1);
    zeros.fill(0);
}

/// Does each piece of work, on the calling thread and on `threads - 1` more that live as long as this call: nothing
/// is left behind that a fork could lose. Results come in no order.
pub(crate) fn in_threads<W, R: Send>(
    work: impl ExactSizeIterator<Item = W> + Send,
    threads: usize,
    task: impl Fn(W, &mut Scratch) -> R + Sync,
) -> Vec<R> {
    in_threads_led(work, threads, |run| run(), task)
}

/// [`in_threads`], with what the calling thread does: `lead` calls its argument to join in.
fn in_threads_led<W, R: Send>(
    work: impl ExactSizeIterator<Item = W> + Send,
    threads: usize,
    lead: impl FnOnce(&mut (dyn FnMut() + Send)),
    task: impl Fn(W, &mut Scratch) -> R + Sync,
) -> Vec<R> {
    let threads = threads.clamp(1, work.len().max(1));
    let work = Mutex::new(work);
    let next = || match work.lock() {
        Ok(mut work) => work.next(),
        Err(_) => None, // another thread panicked, which the scope passes on
    };
    let run = || {
        let mut scratch = Scratch::default();
        std::iter::from_fn(next).map(|piece| task(piece, &mut scratch)).collect::<Vec<R>>()
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut results = Vec::new();
        lead(&mut || results.extend(run()));
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}
