//! Python's texts as the engine's: borrowed, never copied.

use crate::arrow;
use arrow_array::ArrayRef;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// The texts of a batch, kept alive whatever other threads do to where they came from.
pub(crate) enum Batch<'py> {
    /// Python strings, held by a tuple: the caller's own, or a copy of the caller's list.
    Strings(Bound<'py, PyTuple>),
    /// The chunks of an Arrow column.
    Arrow(Vec<ArrayRef>),
}

/// What becomes of a None or a null.
#[derive(Clone, Copy)]
pub(crate) enum Nulls {
    Refuse,
    Empty,
}

impl<'py> Batch<'py> {
    pub(crate) fn new(texts: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = texts.cast::<PyList>() {
            return Ok(Self::Strings(list.to_tuple()));
        }
        if let Ok(tuple) = texts.cast::<PyTuple>() {
            return Ok(Self::Strings(tuple.clone()));
        }
        if texts.hasattr("__arrow_c_stream__")? || texts.hasattr("__arrow_c_array__")? {
            return Ok(Self::Arrow(arrow::chunks(texts)?));
        }
        let found = texts.get_type().name()?;
        Err(PyTypeError::new_err(format!("texts is {found}; expected a list or tuple of str, or an Arrow column")))
    }

    pub(crate) fn texts(&self, nulls: Nulls) -> PyResult<Vec<&str>> {
        match self {
            Self::Strings(tuple) => tuple
                .iter_borrowed()
                .enumerate()
                .map(|(row, text)| match nulls {
                    Nulls::Empty if text.is_none() => Ok(""),
                    _ => utf8(text, || format!("texts[{row}]")),
                })
                .collect(),
            Self::Arrow(chunks) => arrow::texts(chunks, nulls),
        }
    }
}

/// The string's own UTF-8; `name` is called for the error.
pub(crate) fn utf8<'a>(text: Borrowed<'a, '_, PyAny>, name: impl Fn() -> String) -> PyResult<&'a str> {
    let Ok(string) = text.cast::<PyString>() else {
        let found = if text.is_none() { "None".to_owned() } else { text.get_type().name()?.to_string() };
        return Err(PyTypeError::new_err(format!("{} is {found}; expected str", name())));
    };
    let utf8 = string.to_str().map_err(|_| {
        PyValueError::new_err(format!(
            "{} holds a lone surrogate, which is no character and has no UTF-8; clean it first, for instance with \
             text.encode('utf-8', 'replace').decode()",
            name()
        ))
    })?;
    // SAFETY: the bytes belong to the string object, which never changes and is referenced for 'a.
    #[allow(unsafe_code)]
    Ok(unsafe { &*std::ptr::from_ref(utf8) })
}
