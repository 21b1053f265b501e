//! The memory of a cache: places that are all zeros, on pages of which only those that are written to cost anything.
//!
//! An allocator hands out zeros without touching them only where nothing is to be aligned, as half a cache line is.

use memmap2::MmapMut;
use std::marker::PhantomData;
use std::ops::Deref;

/// What a table is made of.
///
/// # Safety
///
/// Zeros must be valid, it must be changed through atomics alone, and it must not be aligned to more than a page.
#[allow(unsafe_code)]
pub(crate) unsafe trait Place: Sync {}

#[derive(Debug)]
pub(crate) struct Table<P, const COUNT: usize> {
    memory: MmapMut,
    places: PhantomData<[P; COUNT]>,
}

impl<P: Place, const COUNT: usize> Table<P, COUNT> {
    pub(crate) fn new() -> Self {
        let memory = MmapMut::map_anon(size_of::<[P; COUNT]>()).expect("there is memory for a cache");
        Self { memory, places: PhantomData }
    }
}

impl<P: Place, const COUNT: usize> Deref for Table<P, COUNT> {
    type Target = [P; COUNT];

    #[inline(always)]
    fn deref(&self) -> &[P; COUNT] {
        // SAFETY: the memory begins with a page, has the size of the array, and was all zeros, which are valid. It is
        // changed through the array alone, by atomics.
        #[allow(unsafe_code)]
        unsafe {
            &*self.memory.as_ptr().cast()
        }
    }
}
