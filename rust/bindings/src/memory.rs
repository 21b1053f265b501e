//! Memory of large results: in huge pages where the system has them, and used again.
//!
//! A kernel hands out fresh memory page by page, each cleared, which takes longer than writing a batch's rows into it. So
//! the memory of a large array goes into a store when the array does, and the next large array is made of it. While it
//! lies there the kernel may take its pages whenever it is short of memory.

use memmap2::MmapMut;
use numpy::ndarray::{ArrayView, Dimension, IntoDimension};
use numpy::{Element, PyArray, PyArrayMethods};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use std::sync::Mutex;

/// Smaller arrays come from the allocator, which has its own ways to use memory again.
const LARGE: usize = 1 << 20;
/// The most bytes in the store.
const MOST_STORED: usize = 256 << 20;
/// What the size of a large array's memory is a multiple of: a huge page.
const STEP: usize = 2 << 20;

static STORE: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// What large arrays refer to: gives its memory to the store when the last of them goes.
#[pyclass(frozen)]
struct Memory(Option<MmapMut>);

impl Drop for Memory {
    fn drop(&mut self) {
        // A process that was forked while another thread had the lock does without the store.
        let (Some(memory), Ok(mut store)) = (self.0.take(), STORE.try_lock()) else { return };
        if memory.len() > MOST_STORED {
            return;
        }
        #[cfg(target_os = "linux")]
        // SAFETY: what is in this memory is not looked at again before it is written: zeros may take its place.
        #[allow(unsafe_code)]
        let _ = unsafe { memory.unchecked_advise(memmap2::UncheckedAdvice::Free) };
        store.push(memory);
        let mut stored: usize = store.iter().map(|memory| memory.len()).sum();
        while stored > MOST_STORED {
            stored -= store.remove(0).len();
        }
    }
}

/// A new array, C-contiguous and with anything in it, which nobody else has yet.
pub(crate) struct Fresh<'py, T, D>(Bound<'py, PyArray<T, D>>);

impl<'py, T: Element, D: Dimension> Fresh<'py, T, D> {
    pub(crate) fn new(py: Python<'py>, shape: impl IntoDimension<Dim = D>) -> PyResult<Self> {
        let shape = shape.into_dimension();
        let out_of_memory = || PyMemoryError::new_err(format!("no memory for an array of shape {:?}", shape.slice()));
        let bytes = shape.slice().iter().try_fold(size_of::<T>(), |bytes, &count| bytes.checked_mul(count));
        let bytes = bytes.ok_or_else(out_of_memory)?;
        if bytes < LARGE {
            return Ok(Self(PyArray::zeros(py, shape, false)));
        }
        let size = bytes.checked_next_multiple_of(STEP).ok_or_else(out_of_memory)?;
        let memory = stored(size).map_or_else(|| fresh(size), Ok).map_err(|_| out_of_memory())?;
        let memory = Bound::new(py, Memory(Some(memory)))?;
        let first = memory.get().0.as_ref().map_or(std::ptr::null(), |memory| memory.as_ptr());
        // SAFETY: the memory begins with a page, is large enough, and is initialised, by the kernel or by who had it
        // before. Nobody else writes to it: it was in the store or is fresh. The array refers to `Memory`, which keeps
        // it mapped and never touches it, and is itself the only way to it.
        #[allow(unsafe_code)]
        unsafe {
            let view = ArrayView::from_shape_ptr(shape, first.cast::<T>());
            Ok(Self(PyArray::borrow_from_array(&view, memory.into_any())))
        }
    }

    /// What is in it.
    pub(crate) fn slice(&mut self) -> PyResult<&mut [T]> {
        // SAFETY: nobody else has the array, so nobody else reads or writes it while this is borrowed.
        #[allow(unsafe_code)]
        unsafe {
            Ok(self.0.as_slice_mut()?)
        }
    }

    pub(crate) fn into_array(self) -> Bound<'py, PyArray<T, D>> {
        self.0
    }
}

/// Stored memory that is large enough, and not much too large.
fn stored(size: usize) -> Option<MmapMut> {
    let mut store = STORE.try_lock().ok()?;
    let fits = |memory: &MmapMut| (size..=2 * size).contains(&memory.len());
    let at = (0..store.len()).filter(|&at| fits(&store[at])).min_by_key(|&at| store[at].len())?;
    Some(store.remove(at))
}

fn fresh(size: usize) -> std::io::Result<MmapMut> {
    let memory = MmapMut::map_anon(size)?;
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage); // where there are none, ordinary pages do
    Ok(memory)
}
