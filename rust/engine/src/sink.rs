//! Where the ids of a text are written: a row, a vector, or only a count.

use crate::ids::Id;
use crate::reserve::reserve;

/// Receives the ids of one text, in order.
pub(crate) trait Sink {
    /// Appends ids of words. Returns false when they do not all fit; then the caller may stop.
    fn take(&mut self, ids: &[u16]) -> bool;
    /// Appends one id of any size. Returns whether it fit.
    fn push(&mut self, id: u32) -> bool;
    /// The text has ended.
    fn finish(&mut self) {}
}

impl<T: Id> Sink for Vec<T> {
    #[inline]
    fn take(&mut self, ids: &[u16]) -> bool {
        reserve(self, ids.len());
        self.extend(ids.iter().map(|&id| T::from_id(id.into())));
        true
    }

    fn push(&mut self, id: u32) -> bool {
        self.push(T::from_id(id));
        true
    }
}

/// Counts the ids and drops them.
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
