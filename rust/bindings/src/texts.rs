//! Python's texts as the engine's: borrowed, never copied.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// Owns references to the texts of a batch, so that they stay whatever other threads do to the caller's list.
pub(crate) struct Batch<'py>(Vec<Bound<'py, PyString>>);

impl<'py> Batch<'py> {
    pub(crate) fn new(texts: &Bound<'py, PyAny>) -> PyResult<Self> {
        let row = |(row, text)| string(text, || format!("texts[{row}]"));
        let strings = if let Ok(list) = texts.cast::<PyList>() {
            list.iter().enumerate().map(row).collect::<PyResult<_>>()?
        } else if let Ok(tuple) = texts.cast::<PyTuple>() {
            tuple.iter().enumerate().map(row).collect::<PyResult<_>>()?
        } else {
            let found = texts.get_type().name()?;
            return Err(PyTypeError::new_err(format!("texts: expected a list or a tuple of str, got {found}")));
        };
        Ok(Self(strings))
    }

    pub(crate) fn texts(&self) -> PyResult<Vec<&str>> {
        self.0.iter().enumerate().map(|(row, text)| utf8(text, || format!("texts[{row}]"))).collect()
    }
}

/// The object as a string; `name` is called for the error.
pub(crate) fn string<'py>(text: Bound<'py, PyAny>, name: impl Fn() -> String) -> PyResult<Bound<'py, PyString>> {
    text.cast_into::<PyString>().map_err(|error| {
        let text = error.into_inner();
        let found = if text.is_none() { Ok("None".to_owned()) } else { text.get_type().name().map(|n| n.to_string()) };
        match found {
            Ok(found) => PyTypeError::new_err(format!("{} is {found}; expected str", name())),
            Err(error) => error,
        }
    })
}

/// The string's own UTF-8; `name` is called for the error.
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>, name: impl Fn() -> String) -> PyResult<&'a str> {
    text.to_str().map_err(|_| {
        PyValueError::new_err(format!(
            "{} holds a lone surrogate, which is no character and has no UTF-8; clean it first, for instance with \
             text.encode('utf-8', 'replace').decode()",
            name()
        ))
    })
}
