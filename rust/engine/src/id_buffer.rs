//! A fixed buffer of word ids in front of a sink, which then receives many at once.

use crate::long_word_cache::{LongIds, MAX_LONG_IDS};
use crate::scan::MASK;
use crate::sink::Sink;
use crate::word_cache::Ids;

/// The slots that can be read from each id on.
pub(crate) const ROW: usize = 128;

/// Ids of words, as 16-bit integers, that have not yet been passed to the sink.
///
/// Slot 0 stays free for the start of text, and slots behind the capacity for padding, so that a row is read from here as
/// one array.
#[derive(Debug)]
pub(crate) struct IdBuffer {
    ids: [u16; Self::ROOM + ROW],
    /// One past the last id.
    end: usize,
}

impl Default for IdBuffer {
    fn default() -> Self {
        Self { ids: [0; Self::ROOM + ROW], end: Self::BEGIN }
    }
}

impl IdBuffer {
    /// One id per byte of the scans: no text has more ids than bytes.
    const ROOM: usize = MASK + 1;
    /// Where the first id is written.
    pub(crate) const BEGIN: usize = 1;
    /// Beyond this end another word might not fit.
    const FULL: usize = Self::ROOM - MAX_LONG_IDS;

    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    #[inline(always)]
    pub(crate) fn set_end(&mut self, end: usize) {
        self.end = end;
    }

    /// Whether a word might not fit at `end`.
    #[inline(always)]
    pub(crate) fn is_full(end: usize) -> bool {
        end > Self::FULL
    }

    /// Writes a word's ids at `end` and returns the new end. All five slots are written whatever the count, without a
    /// branch; the next word overwrites the surplus.
    #[inline(always)]
    pub(crate) fn put(&mut self, end: usize, ids: Ids) -> usize {
        if let Some(slots) = self.ids.get_mut(end..).and_then(<[u16]>::first_chunk_mut) {
            *slots = ids.all();
        }
        end + ids.len()
    }

    /// [`IdBuffer::put`] for more ids.
    #[inline(always)]
    pub(crate) fn put_long(&mut self, end: usize, ids: LongIds) -> usize {
        if let Some(slots) = self.ids.get_mut(end..).and_then(<[u16]>::first_chunk_mut) {
            *slots = ids.all();
        }
        end + ids.len()
    }

    fn push(&mut self, id: u16) {
        self.ids[self.end] = id;
        self.end += 1;
    }

    /// Appends ids of a word of any length, flushing as often as needed. Returns whether they fit the sink.
    pub(crate) fn pass(&mut self, ids: &[u16], sink: &mut impl Sink) -> bool {
        ids.iter().all(|&id| {
            let fits = !Self::is_full(self.end) || self.flush_into(sink);
            self.push(id);
            fits
        })
    }

    /// Passes everything to the sink and empties the buffer. Returns whether it fit.
    pub(crate) fn flush_into(&mut self, sink: &mut impl Sink) -> bool {
        let fits = sink.take(self.between(Self::BEGIN, self.end));
        self.end = Self::BEGIN;
        fits
    }

    /// The ids in `from..to`.
    pub(crate) fn between(&self, from: usize, to: usize) -> &[u16] {
        &self.ids[from..to]
    }

    /// The slots from `from` on: a row's ids and whatever stands behind them.
    #[inline(always)]
    pub(crate) fn row(&self, from: usize) -> &[u16; ROW] {
        self.ids[from & MASK..].first_chunk().unwrap_or(&[0; ROW])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_full_where_a_word_might_not_fit() {
        assert!((0..=IdBuffer::ROOM).all(|end| IdBuffer::is_full(end) == (end + MAX_LONG_IDS > IdBuffer::ROOM)));
    }

    /// Ids of a word longer than the buffer come out in order, and those behind what fits are lost.
    #[test]
    fn long_words_are_passed_on() {
        let ids: Vec<u16> = (0..10_000).collect();
        let (mut buffer, mut sink) = (IdBuffer::default(), Vec::<u32>::new());
        assert!(buffer.pass(&ids, &mut sink) && buffer.flush_into(&mut sink));
        assert!(sink.iter().map(|&id| id as u16).eq(ids) && buffer.end() == IdBuffer::BEGIN);
    }
}
