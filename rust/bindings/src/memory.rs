//! Memory of large results: in huge pages where the system has them, and used again.
//!
//! A kernel hands out fresh memory page by page, each cleared, which takes longer than writing a batch's rows into it. So
//! the memory of a large array goes into a store when the array does, and the next large array is made of it. While it
//! lies there the kernel may take its pages whenever it is short of memory.

use cliptok::{Id, Target};
use memmap2::MmapMut;
use numpy::ndarray::{ArrayView, ArrayViewMut, Dimension, IntoDimension, Ix1};
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
        self.0.take().into_iter().for_each(store);
    }
}

/// Puts memory into the store.
fn store(memory: MmapMut) {
    // A process that was forked while another thread had the lock does without the store.
    let Ok(mut store) = STORE.try_lock() else { return };
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

/// A new array, C-contiguous and with anything in it, which nobody else has yet.
pub(crate) struct Fresh<'py, T, D>(Bound<'py, PyArray<T, D>>);

impl<'py, T: Id + Element, D: Dimension> Fresh<'py, T, D> {
    pub(crate) fn new(py: Python<'py>, shape: impl IntoDimension<Dim = D>) -> PyResult<Self> {
        let shape = shape.into_dimension();
        let bytes = shape.slice().iter().try_fold(size_of::<T>(), |bytes, &count| bytes.checked_mul(count));
        let bytes = bytes.ok_or_else(out_of_memory)?;
        if bytes < LARGE {
            return Ok(Self(PyArray::zeros(py, shape, false)));
        }
        Ok(Self(array_in(py, large(bytes)?, shape)?))
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

/// Joined ids, of which nobody knows beforehand how many there will be.
pub(crate) enum Growing<T> {
    Small(Vec<T>),
    Large {
        memory: MmapMut,
        len: usize,
        /// Why there are not all.
        failure: Option<PyErr>,
    },
}

impl<T: Id + Element> Growing<T> {
    /// With room for so many at first.
    pub(crate) fn new(room: usize) -> PyResult<Self> {
        let bytes = room.checked_mul(size_of::<T>()).ok_or_else(out_of_memory)?;
        if bytes < LARGE {
            return Ok(Self::Small(Vec::with_capacity(room)));
        }
        Ok(Self::Large { memory: large(bytes)?, len: 0, failure: None })
    }

    pub(crate) fn into_array(self, py: Python<'_>) -> PyResult<Bound<'_, PyArray<T, Ix1>>> {
        match self {
            Self::Small(ids) => Ok(PyArray::from_vec(py, ids)),
            Self::Large { failure: Some(failure), .. } => Err(failure),
            Self::Large { memory, len, .. } => array_in(py, memory, Ix1(len)),
        }
    }
}

impl<T: Id + Element> Target<T> for Growing<T> {
    fn append(&mut self, ids: &[T]) {
        match self {
            Self::Small(all) => all.extend_from_slice(ids),
            Self::Large { failure: Some(_), .. } => {}
            Self::Large { memory, len, failure } => {
                let end = *len + ids.len();
                if end * size_of::<T>() > memory.len() {
                    match large(2 * end * size_of::<T>()) {
                        Ok(mut larger) => {
                            slice_of::<T>(&mut larger)[..*len].copy_from_slice(&slice_of(memory)[..*len]);
                            store(std::mem::replace(memory, larger));
                        }
                        Err(error) => {
                            *failure = Some(error);
                            return;
                        }
                    }
                }
                slice_of(memory)[*len..end].copy_from_slice(ids);
                *len = end;
            }
        }
    }
}

fn out_of_memory() -> PyErr {
    PyMemoryError::new_err("there is no memory for so large an array")
}

/// What is in the memory.
fn slice_of<T: Id>(memory: &mut MmapMut) -> &mut [T] {
    // SAFETY: the memory begins with a page, and is initialised, by the kernel or by who had it before. `Id` is only
    // implemented by integers, which any bytes are.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), memory.len() / size_of::<T>())
    }
}

/// An array of this shape in memory that is large enough.
fn array_in<T: Id + Element, D: Dimension>(
    py: Python<'_>,
    mut memory: MmapMut,
    shape: D,
) -> PyResult<Bound<'_, PyArray<T, D>>> {
    let view = ArrayViewMut::from_shape(shape.clone(), &mut slice_of::<T>(&mut memory)[..shape.size()]);
    let first = view.map_err(|_| out_of_memory())?.as_mut_ptr();
    let memory = Bound::new(py, Memory(Some(memory)))?;
    // SAFETY: the view is of this memory, which stays where it is. Nobody else writes to it: it was in the store or is
    // fresh. The array refers to `Memory`, which keeps it mapped and never touches it, and is itself the only way to it.
    #[allow(unsafe_code)]
    unsafe {
        Ok(PyArray::borrow_from_array(&ArrayView::from_shape_ptr(shape, first), memory.into_any()))
    }
}

/// Memory of at least so many bytes, with anything in it.
fn large(bytes: usize) -> PyResult<MmapMut> {
    let size = bytes.max(1).checked_next_multiple_of(STEP).ok_or_else(out_of_memory)?;
    stored(size).map_or_else(|| fresh(size), Ok).map_err(|_| out_of_memory())
}

/// Stored memory that is large enough, and not much too large: of equals what was stored last, whose pages are there.
fn stored(size: usize) -> Option<MmapMut> {
    let mut store = STORE.try_lock().ok()?;
    let fits = |memory: &MmapMut| (size..=2 * size).contains(&memory.len());
    let at = (0..store.len()).rev().filter(|&at| fits(&store[at])).min_by_key(|&at| store[at].len())?;
    Some(store.remove(at))
}

fn fresh(size: usize) -> std::io::Result<MmapMut> {
    let memory = MmapMut::map_anon(size)?;
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage); // where there are none, ordinary pages do
    Ok(memory)
}
