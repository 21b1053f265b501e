//! Where ids go: a row of the caller's buffer, a vector, or only a count.

use crate::cache::Ids;

/// An integer that holds an id: what rows are made of.
pub trait Id: Copy + Send + Sync + 'static {
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
    /// Takes an id. False when it does not fit: then nothing more needs to come.
    fn push(&mut self, id: u32) -> bool;
    /// Takes the ids of a word.
    fn push_word(&mut self, ids: Ids) -> bool;
}

impl<T: Id> Sink for Vec<T> {
    #[inline]
    fn push(&mut self, id: u32) -> bool {
        Vec::push(self, T::from_id(id));
        true
    }

    #[inline(always)]
    fn push_word(&mut self, ids: Ids) -> bool {
        let len = self.len();
        self.extend_from_slice(&ids.first_four());
        if ids.len() > 4 {
            Vec::push(self, T::from_id(ids.fifth()));
        } else {
            self.truncate(len + ids.len());
        }
        true
    }
}

/// Only counts.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    #[inline]
    fn push(&mut self, _: u32) -> bool {
        self.0 += 1;
        true
    }

    #[inline(always)]
    fn push_word(&mut self, ids: Ids) -> bool {
        self.0 += ids.len();
        true
    }
}

/// A slice that is filled from the front, and remembers when something did not fit.
#[derive(Debug)]
pub(crate) struct Row<'a, T> {
    ids: &'a mut [T],
    len: usize,
    overflowed: bool,
}

impl<'a, T: Id> Row<'a, T> {
    pub(crate) fn new(ids: &'a mut [T]) -> Self {
        Self { ids, len: 0, overflowed: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }
}

impl<T: Id> Sink for Row<'_, T> {
    #[inline]
    fn push(&mut self, id: u32) -> bool {
        if let Some(slot) = self.ids.get_mut(self.len) {
            *slot = T::from_id(id);
            self.len += 1;
            true
        } else {
            self.overflowed = true;
            false
        }
    }

    #[inline(always)]
    fn push_word(&mut self, ids: Ids) -> bool {
        // Four are written whatever the count: what is too many is overwritten by the next word or by the padding.
        let Some(slots) = self.ids.get_mut(self.len..self.len + 4) else {
            return ids.iter().all(|id| self.push(id));
        };
        slots.copy_from_slice(&ids.first_four());
        if ids.len() > 4 {
            self.len += 4;
            return self.push(ids.fifth());
        }
        self.len += ids.len();
        true
    }
}
