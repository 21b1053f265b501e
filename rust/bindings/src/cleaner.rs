//! The callback that cleans texts in Python, for the profiles that need it.

use crate::errors::Failure;
use pyo3::prelude::*;

/// A Python function from `str` to `str`, if the profile has one.
pub(crate) struct Cleaner(pub(crate) Option<Py<PyAny>>);

impl Cleaner {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.as_ref().map(|clean| clean.clone_ref(py)))
    }

    pub(crate) fn clean(&self, py: Python<'_>, text: &str) -> Result<String, Failure> {
        let Some(clean) = &self.0 else {
            return Ok(text.to_owned()); // such a profile never asks
        };
        clean.call1(py, (text,)).and_then(|cleaned| cleaned.extract(py)).map_err(Failure)
    }

    /// [`Cleaner::clean`] from a thread that has released the interpreter.
    pub(crate) fn clean_attached(&self, text: &str) -> Result<String, Failure> {
        Python::attach(|py| self.clean(py, text))
    }
}
