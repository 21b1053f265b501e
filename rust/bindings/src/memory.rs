//! The memory of large arrays: a pool of mappings, in huge pages where the system has them.
//!
//! The kernel clears new memory page by page, which takes longer than writing a batch's rows. So the memory of a large
//! array goes into a pool when the array is freed, and the next large array reuses it. While memory is in the pool, the
//! kernel may reclaim its pages.

use cliptok::{Id, Target};
use memmap2::MmapMut;
use numpy::ndarray::{ArrayView, ArrayViewMut, Dimension, IntoDimension, Ix1};
use numpy::{Element, PyArray, PyArrayMethods};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use std::sync::Mutex;

/// Smaller arrays come from the allocator, which reuses memory itself.
const LARGE: usize = 1 << 20;
/// The most bytes in the pool.
const MAX_POOLED: usize = 256 << 20;
/// Mappings are multiples of this: a huge page.
const STEP: usize = 2 << 20;

static POOL: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// The base object of a large array, which returns the memory to the pool when the array is freed.
#[pyclass(frozen)]
struct PooledMemory(Option<MmapMut>);

impl Drop for PooledMemory {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(release);
    }
}

/// Puts memory into the pool.
fn release(memory: MmapMut) {
    // Not `lock`: in a process that was forked while another thread held the lock, it would block for ever.
    let Ok(mut pool) = POOL.try_lock() else { return };
    if memory.len() > MAX_POOLED {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: nothing reads this memory before it is written again, so the kernel may replace it by zeros.
    #[allow(unsafe_code)]
    let _ = unsafe { memory.unchecked_advise(memmap2::UncheckedAdvice::Free) };
    pool.push(memory);
    let mut pooled: usize = pool.iter().map(|memory| memory.len()).sum();
    while pooled > MAX_POOLED {
        pooled -= pool.remove(0).len();
    }
}

/// An uninitialised C-contiguous array that nothing else references yet.
pub(crate) struct NewArray<'py, T, D>(Bound<'py, PyArray<T, D>>);

impl<'py, T: Id + Element, D: Dimension> NewArray<'py, T, D> {
    pub(crate) fn new(py: Python<'py>, shape: impl IntoDimension<Dim = D>) -> PyResult<Self> {
        let shape = shape.into_dimension();
        let bytes = shape.slice().iter().try_fold(size_of::<T>(), |bytes, &count| bytes.checked_mul(count));
        let bytes = bytes.ok_or_else(out_of_memory)?;
        if bytes < LARGE {
            return Ok(Self(PyArray::zeros(py, shape, false)));
        }
        Ok(Self(array_in(py, large(bytes)?, shape)?))
    }

    /// The elements: zeros, or integers left over from an earlier array.
    pub(crate) fn slice(&mut self) -> PyResult<&mut [T]> {
        // SAFETY: nothing else references the array, so nobody reads or writes it during this borrow.
        #[allow(unsafe_code)]
        unsafe {
            Ok(self.0.as_slice_mut()?)
        }
    }

    pub(crate) fn into_array(self) -> Bound<'py, PyArray<T, D>> {
        self.0
    }
}

/// A growing buffer of ids, which becomes an array.
pub(crate) enum GrowingArray<T> {
    Small(Vec<T>),
    Large {
        memory: MmapMut,
        len: usize,
        /// The error of growing; ids after it are dropped.
        failure: Option<PyErr>,
    },
}

impl<T: Id + Element> GrowingArray<T> {
    /// With an initial capacity in ids.
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

impl<T: Id + Element> Target<T> for GrowingArray<T> {
    fn append(&mut self, ids: &[T]) {
        match self {
            Self::Small(all) => all.extend_from_slice(ids),
            Self::Large { failure: Some(_), .. } => {}
            Self::Large { memory, len, failure } => {
                let end = *len + ids.len();
                if end * size_of::<T>() > memory.len()
                    && let Err(error) = grow(memory, 2 * end * size_of::<T>())
                {
                    *failure = Some(error);
                    return;
                }
                slice_of(memory)[*len..end].copy_from_slice(ids);
                *len = end;
            }
        }
    }
}

/// So many zeros.
pub(crate) fn zeros<T: Clone + Default>(count: usize) -> PyResult<Vec<T>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(count).map_err(|_| out_of_memory())?;
    zeros.resize(count, T::default());
    Ok(zeros)
}

pub(crate) fn out_of_memory() -> PyErr {
    PyMemoryError::new_err("out of memory: the array is too large")
}

/// The memory as integers.
fn slice_of<T: Id>(memory: &mut MmapMut) -> &mut [T] {
    // SAFETY: the mapping is page-aligned and initialised, by the kernel or an earlier array. `Id` is only implemented
    // for integers, for which any bytes are valid.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), memory.len() / size_of::<T>())
    }
}

/// An array of this shape at the beginning of `memory`, which must be large enough.
fn array_in<T: Id + Element, D: Dimension>(
    py: Python<'_>,
    mut memory: MmapMut,
    shape: D,
) -> PyResult<Bound<'_, PyArray<T, D>>> {
    let view = ArrayViewMut::from_shape(shape.clone(), &mut slice_of::<T>(&mut memory)[..shape.size()]);
    let first = view.map_err(|_| out_of_memory())?.as_mut_ptr();
    let memory = Bound::new(py, PooledMemory(Some(memory)))?;
    // SAFETY: the view is of this mapping, which does not move, and which nobody else uses: it came from the pool or is
    // new. The array references `PooledMemory`, which keeps it mapped and never accesses it.
    #[allow(unsafe_code)]
    unsafe {
        Ok(PyArray::borrow_from_array(&ArrayView::from_shape_ptr(shape, first), memory.into_any()))
    }
}

/// At least this many bytes, from the pool or new.
fn large(bytes: usize) -> PyResult<MmapMut> {
    let size = bytes.max(1).checked_next_multiple_of(STEP).ok_or_else(out_of_memory)?;
    pooled(size).map_or_else(|| mapped(size), Ok).map_err(|_| out_of_memory())
}

/// Makes memory larger. A copy of what is in it would take most of the call, in which nothing looks for Ctrl-C.
#[cfg(target_os = "linux")]
fn grow(memory: &mut MmapMut, bytes: usize) -> PyResult<()> {
    let size = bytes.checked_next_multiple_of(STEP).ok_or_else(out_of_memory)?;
    // SAFETY: the mapping is anonymous, so that all of it can be used whatever its size.
    #[allow(unsafe_code)]
    unsafe { memory.remap(size, memmap2::RemapOptions::new().may_move(true)) }.map_err(|_| out_of_memory())
}

#[cfg(not(target_os = "linux"))]
fn grow(memory: &mut MmapMut, bytes: usize) -> PyResult<()> {
    let mut larger = large(bytes)?;
    larger[..memory.len()].copy_from_slice(memory);
    release(std::mem::replace(memory, larger));
    Ok(())
}

/// The smallest mapping in the pool of `size..=2 * size` bytes; of equal ones the newest, since its pages are likeliest to
/// be resident.
fn pooled(size: usize) -> Option<MmapMut> {
    let mut pool = POOL.try_lock().ok()?;
    let fits = |memory: &MmapMut| (size..=2 * size).contains(&memory.len());
    let at = (0..pool.len()).rev().filter(|&at| fits(&pool[at])).min_by_key(|&at| pool[at].len())?;
    Some(pool.remove(at))
}

fn mapped(size: usize) -> std::io::Result<MmapMut> {
    let memory = MmapMut::map_anon(size)?;
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage); // without huge pages, ordinary ones do
    Ok(memory)
}
