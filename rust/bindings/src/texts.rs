//! The texts of a Python sequence or an Arrow column as `&str`, borrowed and never copied.

use crate::arrow::import;
use crate::arrow_column::Column;
use crate::boundary::guarded;
use crate::memory::out_of_memory;
use crate::nulls::Nulls;
use cliptok::prefetch;
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi::PyList_GetItem;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use std::cell::RefCell;
use std::ops::Range;

/// The texts of a batch. Those that were read stay alive as long as this does, even if another thread changes the list.
pub(crate) enum Batch<'py> {
    List(List<'py>),
    Tuple(Bound<'py, PyTuple>),
    Arrow(Column),
}

/// A list, which other threads may change at any time, and the slices of it that were read: lists that nobody else has.
pub(crate) struct List<'py> {
    list: Bound<'py, PyList>,
    slices: RefCell<Vec<Bound<'py, PyList>>>,
}

impl<'py> Batch<'py> {
    pub(crate) fn new(texts: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = texts.cast::<PyList>() {
            return Ok(Self::List(List { list: list.clone(), slices: RefCell::default() }));
        }
        if let Ok(tuple) = texts.cast::<PyTuple>() {
            return Ok(Self::Tuple(tuple.clone()));
        }
        if texts.hasattr("__arrow_c_stream__")? || texts.hasattr("__arrow_c_array__")? {
            return Ok(Self::Arrow(guarded(|| import(texts))?));
        }
        let found = texts.get_type().name()?;
        Err(PyTypeError::new_err(format!("texts is {found}; expected a list or tuple of str, or an Arrow column")))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.list.len(),
            Self::Tuple(tuple) => tuple.len(),
            Self::Arrow(column) => column.len(),
        }
    }

    /// Appends the texts of these rows.
    pub(crate) fn read<'t>(&'t self, rows: Range<usize>, nulls: Nulls, texts: &mut Vec<&'t str>) -> PyResult<()> {
        match self {
            Self::List(list) => list.read(rows, nulls, texts),
            Self::Tuple(tuple) => {
                let items = rows.clone().map(|row| tuple.get_borrowed_item(row)).collect::<PyResult<Vec<_>>>()?;
                read_items(&items, rows, nulls, texts)
            }
            Self::Arrow(column) => Ok(column.read(rows, nulls, texts)?),
        }
    }

    /// All texts.
    pub(crate) fn texts(&self, py: Python<'_>, nulls: Nulls) -> PyResult<Vec<&str>> {
        const AT_ONCE: usize = 1 << 16; // between two looks for signals
        let mut texts = Vec::new();
        texts.try_reserve_exact(self.len()).map_err(|_| out_of_memory())?;
        for from in (0..self.len()).step_by(AT_ONCE) {
            self.read(from..self.len().min(from + AT_ONCE), nulls, &mut texts)?;
            py.check_signals()?;
        }
        Ok(texts)
    }
}

impl List<'_> {
    fn read<'t>(&'t self, rows: Range<usize>, nulls: Nulls, texts: &mut Vec<&'t str>) -> PyResult<()> {
        let slice = self.list.get_slice(rows.start, rows.end);
        if slice.len() < rows.len() {
            let message = "texts is a list that another thread has made shorter while it was being read";
            return Err(PyRuntimeError::new_err(message));
        }
        let py = slice.py();
        let item = |at: usize| {
            // SAFETY: the slice references its items. Only `self` has the slice, changes nothing in it, and keeps it until
            // it is dropped, so for 't.
            #[allow(unsafe_code)]
            unsafe {
                Borrowed::from_ptr_or_err(py, PyList_GetItem(slice.as_ptr(), at as isize))
            }
        };
        let items = (0..rows.len()).map(item).collect::<PyResult<Vec<Borrowed<'t, '_, PyAny>>>>();
        self.slices.borrow_mut().push(slice);
        read_items(&items?, rows, nulls, texts)
    }
}

/// Appends the texts of these rows. The string objects of a shuffled list lie anywhere in memory.
fn read_items<'t>(
    items: &[Borrowed<'t, '_, PyAny>],
    rows: Range<usize>,
    nulls: Nulls,
    texts: &mut Vec<&'t str>,
) -> PyResult<()> {
    const AHEAD: usize = 16;
    items.iter().take(AHEAD).for_each(prefetch_string);
    for (at, (row, item)) in rows.zip(items).enumerate() {
        if let Some(later) = items.get(at + AHEAD) {
            prefetch_string(later);
        }
        texts.push(text_of_row(*item, row, nulls)?);
    }
    Ok(())
}

/// The fields of a string object that say how long it is and where its characters are. Its beginning, the count of
/// references, is often in the cache line before.
fn prefetch_string(item: &Borrowed<'_, '_, PyAny>) {
    const FIELDS: usize = 32;
    prefetch(item.as_ptr().cast::<u8>().wrapping_add(FIELDS));
}

fn text_of_row<'t>(text: Borrowed<'t, '_, PyAny>, row: usize, nulls: Nulls) -> PyResult<&'t str> {
    match nulls {
        Nulls::Empty if text.is_none() => Ok(""),
        _ => utf8(text, || format!("texts[{row}]")).or_else(|error| {
            let is_nan = text.extract::<f64>().is_ok_and(f64::is_nan);
            match nulls {
                Nulls::Empty if is_nan => Ok(""),
                _ if is_nan => Err(missing_text(row, "float, the NaN that pandas has for null")),
                _ if text.is_none() => Err(missing_text(row, "None")),
                _ => Err(error),
            }
        }),
    }
}

/// The error for a row that has no text.
pub(crate) fn missing_text(row: usize, found: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "texts[{row}] is {found}; expected str; on_null=\"empty\" of a tokenizer's calls takes it for an empty text"
    ))
}

/// The UTF-8 that the string object itself holds. `name` names the argument in an error.
pub(crate) fn utf8<'a>(text: Borrowed<'a, '_, PyAny>, name: impl Fn() -> String) -> PyResult<&'a str> {
    let Ok(string) = text.cast_exact::<PyString>().or_else(|_| text.cast::<PyString>()) else {
        let found = if text.is_none() { "None".to_owned() } else { text.get_type().name()?.to_string() };
        return Err(PyTypeError::new_err(format!("{} is {found}; expected str", name())));
    };
    let utf8 = string.to_str().map_err(|error| {
        if error.is_instance_of::<PyMemoryError>(string.py()) {
            return error; // UTF-8 takes memory that Python does not have
        }
        PyValueError::new_err(format!(
            "{} holds a lone surrogate, which is no character and has no UTF-8; clean it first, for instance with \
             text.encode('utf-8', 'replace').decode()",
            name()
        ))
    })?;
    // SAFETY: the bytes belong to the string object, which is immutable and referenced for 'a.
    #[allow(unsafe_code)]
    Ok(unsafe { &*std::ptr::from_ref(utf8) })
}
