//! Where ids go: a row of the caller's buffer, a vector, or only a count.

use crate::cache::{Ids, MOST_IDS};
use crate::scan::ROOM;
use crate::stream::Plain;

/// An integer that holds an id: what rows are made of.
#[allow(private_bounds)] // only these four: rows are copied as bytes
pub trait Id: Plain + Send + Sync + 'static {
    /// The largest id it holds.
    const MAX: u32;
    /// The id as this type; ids over [`Id::MAX`] are refused before encoding begins.
    fn from_id(id: u32) -> Self;
}

impl Id for u16 {
    const MAX: u32 = u16::MAX as u32;
    #[inline]
    fn from_id(id: u32) -> Self {
        id as Self
    }
}

impl Id for u32 {
    const MAX: u32 = u32::MAX;
    #[inline]
    fn from_id(id: u32) -> Self {
        id
    }
}

impl Id for i32 {
    const MAX: u32 = i32::MAX as u32;
    #[inline]
    fn from_id(id: u32) -> Self {
        id as Self
    }
}

impl Id for i64 {
    const MAX: u32 = u32::MAX;
    #[inline]
    fn from_id(id: u32) -> Self {
        id.into()
    }
}

/// Receives the ids of one text, in order.
pub(crate) trait Sink {
    /// Takes ids of words, with more to come. False when they do not all fit: then nothing more needs to come.
    fn take(&mut self, ids: &[u16]) -> bool;
    /// Takes any id.
    fn push(&mut self, id: u32) -> bool;
    /// Takes note that the text has ended.
    fn finish(&mut self) {}
}

/// Ids of words on their way to a sink, which takes many at once.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The first place is free: for the start of text, when a row is made of them. So are those beyond the room: for the
    /// padding of a row like CLIP's.
    ids: [u16; Self::ROOM + 80],
    /// The end of those in use.
    end: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { ids: [0; Self::ROOM + 80], end: Self::BEGIN }
    }
}

impl Gathered {
    /// As many as a scan has bytes, and more than one has words.
    const ROOM: usize = ROOM + 2 * MOST_IDS;
    pub(crate) const BEGIN: usize = 1;
    /// From here on they must be taken before another word.
    const FULL: usize = Self::ROOM - MOST_IDS;

    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    #[inline(always)]
    pub(crate) fn set_end(&mut self, end: usize) {
        self.end = end;
    }

    /// Whether there may be no room for a word at `end`.
    #[inline(always)]
    pub(crate) fn is_full(end: usize) -> bool {
        end > Self::FULL
    }

    /// Writes a word's ids at `end`, where there is room for one, and returns where they end. All places are written
    /// whatever the count: the next word overwrites what is too many.
    #[inline(always)]
    pub(crate) fn put(&mut self, end: usize, ids: Ids) -> usize {
        if let Some(slots) = self.ids.get_mut(end..).and_then(<[u16]>::first_chunk_mut) {
            *slots = ids.all();
        }
        end + ids.len()
    }

    fn push(&mut self, id: u16) {
        self.ids[self.end] = id;
        self.end += 1;
    }

    /// Hands all of `ids` over to a sink, and returns whether they fit.
    pub(crate) fn pass(&mut self, ids: &[u16], sink: &mut impl Sink) -> bool {
        ids.iter().all(|&id| {
            let fits = !Self::is_full(self.end) || self.empty_into(sink);
            self.push(id);
            fits
        })
    }

    /// Hands all over to a sink, and returns whether they fit.
    pub(crate) fn empty_into(&mut self, sink: &mut impl Sink) -> bool {
        let fits = sink.take(self.between(Self::BEGIN, self.end));
        self.end = Self::BEGIN;
        fits
    }

    /// Those from one place to another.
    pub(crate) fn between(&self, from: usize, to: usize) -> &[u16] {
        &self.ids[from..to]
    }

    /// What a row of this width is made of: the ids from a place on with `before` free places before them, one at most,
    /// and with whatever stands behind them. `None` for a row that is too wide.
    #[inline(always)]
    pub(crate) fn row(&self, from: usize, before: usize, width: usize) -> Option<&[u16]> {
        self.ids.get(from.checked_sub(before)?..)?.get(..width)
    }
}

impl<T: Id> Sink for Vec<T> {
    #[inline]
    fn take(&mut self, ids: &[u16]) -> bool {
        self.extend(ids.iter().map(|&id| T::from_id(id.into())));
        true
    }

    fn push(&mut self, id: u32) -> bool {
        self.push(T::from_id(id));
        true
    }
}

/// Only counts.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    #[inline]
    fn take(&mut self, ids: &[u16]) -> bool {
        self.0 += ids.len();
        true
    }

    fn push(&mut self, _: u32) -> bool {
        self.0 += 1;
        true
    }
}
