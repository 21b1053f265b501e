//! Arrow columns of strings: `string`, `large_string` and `string_view`, in one chunk or many, sliced, and
//! dictionary-encoded. Nothing is copied but the places of the texts.

use crate::texts::Nulls;
use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayAccessor, ArrayRef, make_array};
use arrow_schema::{ArrowError, DataType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ffi::CStr;

/// The chunks of a column, each checked: offsets within the data, and the data UTF-8.
pub(crate) fn chunks(column: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    let chunks = import(column)?;
    for chunk in &chunks {
        let is_text =
            |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let supported = match chunk.data_type() {
            DataType::Dictionary(_, values) => is_text(values),
            data_type => is_text(data_type),
        };
        if !supported {
            let found = chunk.data_type();
            return Err(PyTypeError::new_err(format!("texts is an Arrow column of {found}; expected one of strings")));
        }
        chunk
            .to_data()
            .validate_full()
            .map_err(|error| PyValueError::new_err(format!("texts is a malformed Arrow column: {error}")))?;
    }
    Ok(chunks)
}

/// The texts of all chunks.
pub(crate) fn texts(chunks: &[ArrayRef], nulls: Nulls) -> PyResult<Vec<&str>> {
    let mut texts = Vec::with_capacity(chunks.iter().map(Array::len).sum());
    for chunk in chunks {
        let first = texts.len();
        let is_null = chunk.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let null_rows = is_null.iter().flat_map(|nulls| (0..nulls.len()).filter(|&row| nulls.is_null(row)));
        if let (Nulls::Refuse, Some(row)) = (nulls, null_rows.clone().next()) {
            return Err(PyTypeError::new_err(format!("texts[{}] is null; expected str", first + row)));
        }
        if let Some(dictionary) = chunk.as_any_dictionary_opt() {
            let mut values = Vec::new();
            push_strings(dictionary.values(), &mut values);
            let keys = dictionary.normalized_keys().into_iter();
            texts.extend(keys.map(|key| values.get(key).copied().unwrap_or_default())); // a null has any key
        } else {
            push_strings(chunk, &mut texts);
        }
        null_rows.for_each(|row| texts[first + row] = "");
    }
    Ok(texts)
}

fn push_strings<'a>(array: &'a ArrayRef, texts: &mut Vec<&'a str>) {
    fn push<'a>(array: impl ArrayAccessor<Item = &'a str> + Copy, texts: &mut Vec<&'a str>) {
        texts.extend((0..array.len()).map(|row| array.value(row)));
    }
    match array.data_type() {
        DataType::LargeUtf8 => push(array.as_string::<i64>(), texts),
        DataType::Utf8View => push(array.as_string_view(), texts),
        _ => push(array.as_string::<i32>(), texts),
    }
}

/// Takes over what the column's capsules hold, by the rules of the Arrow `PyCapsule` interface: the structures are moved
/// out and left marked as released, so that each is released once, by us.
fn import(column: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    let malformed = |error: ArrowError| PyValueError::new_err(format!("texts is no readable Arrow column: {error}"));
    if column.hasattr("__arrow_c_stream__")? {
        let capsule = column.call_method0("__arrow_c_stream__")?;
        let stream: *mut FFI_ArrowArrayStream = pointer(&capsule, c"arrow_array_stream")?;
        // SAFETY: a capsule of this name holds a valid stream.
        #[allow(unsafe_code)]
        let reader = unsafe { ArrayStreamReader::from_raw(stream) };
        return reader.map_err(malformed)?.collect::<Result<_, _>>().map_err(malformed);
    }
    let capsules = column.call_method0("__arrow_c_array__")?;
    let (schema, array): (Bound<'_, PyAny>, Bound<'_, PyAny>) = capsules.extract()?;
    let schema: *mut FFI_ArrowSchema = pointer(&schema, c"arrow_schema")?;
    let array: *mut FFI_ArrowArray = pointer(&array, c"arrow_array")?;
    // SAFETY: capsules of these names hold a valid schema and a valid array, which belong together.
    #[allow(unsafe_code)]
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array), &FFI_ArrowSchema::from_raw(schema)) };
    Ok(vec![make_array(data.map_err(malformed)?)])
}

fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    Ok(capsule.cast::<PyCapsule>()?.pointer_checked(Some(name))?.cast().as_ptr())
}
