//! The cleaning by itself, for the tests that compare it with ftfy and Python.

use crate::boundary::{guarded, stoppable};
use crate::texts::utf8;
use cliptok::Profile;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// ftfy's `fix_text` with its defaults.
#[pyfunction]
pub(crate) fn fix_text(text: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = text.py();
    let text = utf8(text.as_borrowed(), || "text".to_owned())?;
    guarded(|| stoppable(py, || py.detach(|| cliptok::fix_text(text))))
}

/// The text as a profile's reference cleans it.
#[pyfunction]
pub(crate) fn clean(text: &Bound<'_, PyAny>, profile: &str) -> PyResult<String> {
    let py = text.py();
    let text = utf8(text.as_borrowed(), || "text".to_owned())?;
    let profile =
        Profile::from_name(profile).ok_or_else(|| PyValueError::new_err(format!("no profile {profile:?}")))?;
    guarded(|| stoppable(py, || py.detach(|| cliptok::clean(text, profile))))
}
