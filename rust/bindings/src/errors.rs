//! The engine's errors as Python exceptions.

use cliptok::Error;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// An error of the engine, or the exception of a Python callback, on its way through the engine.
pub(crate) struct Failure(pub(crate) PyErr);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(value_error(&error))
    }
}

pub(crate) fn value_error(error: &Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
