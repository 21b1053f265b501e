//! Buffers that a thread keeps from call to call: kilobytes that one short text should not clear.

use crate::encode::Scratch;
use crate::group::Group;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// What is kept.
pub(crate) trait Kept: Default + 'static {
    /// Where the thread keeps one.
    const PLACE: &'static LocalKey<Cell<Option<Box<Self>>>>;
    /// Whether it has grown so much that it is better let go.
    fn is_large(&self) -> bool;
}

/// The thread's, or a new one when that is in use. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Spare<K: Kept>(Option<Box<K>>);

impl<K: Kept> Default for Spare<K> {
    fn default() -> Self {
        let kept = K::PLACE.try_with(Cell::take).ok().flatten();
        Self(Some(kept.unwrap_or_default()))
    }
}

impl<K: Kept> Drop for Spare<K> {
    fn drop(&mut self) {
        // What a panic has left half done is not for the next call.
        let kept = self.0.take().filter(|kept| !kept.is_large() && !std::thread::panicking());
        let _ = K::PLACE.try_with(|place| place.set(kept)); // or the thread is ending
    }
}

impl<K: Kept> Deref for Spare<K> {
    type Target = K;

    fn deref(&self) -> &K {
        self.0.as_deref().expect("there until it is dropped")
    }
}

impl<K: Kept> DerefMut for Spare<K> {
    fn deref_mut(&mut self) -> &mut K {
        self.0.as_deref_mut().expect("there until it is dropped")
    }
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    static GROUP: Cell<Option<Box<Group>>> = const { Cell::new(None) };
}

impl Kept for Scratch {
    const PLACE: &'static LocalKey<Cell<Option<Box<Self>>>> = &SCRATCH;

    fn is_large(&self) -> bool {
        self.is_large()
    }
}

impl Kept for Group {
    const PLACE: &'static LocalKey<Cell<Option<Box<Self>>>> = &GROUP;

    fn is_large(&self) -> bool {
        false
    }
}
