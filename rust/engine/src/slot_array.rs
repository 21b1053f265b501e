//! The memory of a cache: an array of zeroed slots, of which only the pages that are written to take up memory.
//!
//! It is mapped rather than allocated, since allocators clear zeroed memory by hand when it is aligned to 32 bytes.

use memmap2::MmapMut;
use std::marker::PhantomData;
use std::ops::Deref;

/// An element of a [`SlotArray`].
///
/// # Safety
///
/// All zero bytes must be a valid value, it may be changed through atomics only, and its alignment must not exceed a
/// page.
#[allow(unsafe_code)]
pub(crate) unsafe trait Slot: Sync {}

#[derive(Debug)]
pub(crate) struct SlotArray<P, const COUNT: usize> {
    memory: MmapMut,
    slots: PhantomData<[P; COUNT]>,
}

impl<P: Slot, const COUNT: usize> SlotArray<P, COUNT> {
    pub(crate) fn new() -> Self {
        let memory = MmapMut::map_anon(size_of::<[P; COUNT]>()).expect("out of memory for a cache");
        Self { memory, slots: PhantomData }
    }

    /// Takes up the memory of all slots now, where the system can. Slots that were written stay as they are.
    pub(crate) fn populate(&self) {
        #[cfg(target_os = "linux")]
        let _ = self.memory.advise(memmap2::Advice::PopulateWrite); // from Linux 5.14 on
    }
}

impl<P: Slot, const COUNT: usize> Deref for SlotArray<P, COUNT> {
    type Target = [P; COUNT];

    #[inline(always)]
    fn deref(&self) -> &[P; COUNT] {
        // SAFETY: the mapping is page-aligned, has the size of the array, and began as zeros, which are valid. Nobody
        // changes it but through this reference, by atomics.
        #[allow(unsafe_code)]
        unsafe {
            &*self.memory.as_ptr().cast()
        }
    }
}
