//! Arrow columns that Python objects hand over, by the Arrow `PyCapsule` interface.

use crate::arrow_column::{Column, ColumnError};
use crate::texts::missing_text;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ffi::CStr;

/// Takes the column that an object hands over.
pub(crate) fn import(column: &Bound<'_, PyAny>) -> PyResult<Column> {
    if column.hasattr("__arrow_c_stream__")? {
        let capsule = column.call_method0("__arrow_c_stream__")?;
        let stream: *mut FFI_ArrowArrayStream = pointer(&capsule, c"arrow_array_stream")?;
        // SAFETY: a capsule of this name holds a valid stream.
        #[allow(unsafe_code)]
        return unsafe { Column::from_stream(stream) }.map_err(PyErr::from);
    }
    let capsules = column.call_method0("__arrow_c_array__")?;
    let (schema, array): (Bound<'_, PyAny>, Bound<'_, PyAny>) = capsules.extract()?;
    let schema: *mut FFI_ArrowSchema = pointer(&schema, c"arrow_schema")?;
    let array: *mut FFI_ArrowArray = pointer(&array, c"arrow_array")?;
    // SAFETY: capsules of these names hold a valid schema and a valid array, which belong together.
    #[allow(unsafe_code)]
    unsafe { Column::from_array(schema, array) }.map_err(PyErr::from)
}

fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    Ok(capsule.cast::<PyCapsule>()?.pointer_checked(Some(name))?.cast().as_ptr())
}

impl From<ColumnError> for PyErr {
    fn from(error: ColumnError) -> Self {
        match error {
            ColumnError::NotStrings(found) => {
                PyTypeError::new_err(format!("texts is an Arrow column of {found}; expected one of strings"))
            }
            ColumnError::Malformed(why) => PyValueError::new_err(format!("texts is no readable Arrow column: {why}")),
            ColumnError::Null(row) => missing_text(row, "null"),
        }
    }
}
