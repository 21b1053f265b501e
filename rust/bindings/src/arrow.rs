//! Arrow columns of strings: `string`, `large_string` and `string_view`, in one chunk or many, sliced, and
//! dictionary-encoded. Nothing is copied but the places of the texts.

use crate::texts::Nulls;
use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayRef, make_array};
use arrow_schema::{ArrowError, DataType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ffi::CStr;
use std::ops::Range;

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

/// These rows of the chunks, without copying them.
pub(crate) fn rows(chunks: &[ArrayRef], rows: &Range<usize>) -> Vec<ArrayRef> {
    let mut found = Vec::new();
    let mut begin = 0;
    for chunk in chunks {
        let end = begin + chunk.len();
        let (from, to) = (rows.start.max(begin), rows.end.min(end));
        if from < to {
            found.push(chunk.slice(from - begin, to - from));
        }
        begin = end;
    }
    found
}

/// The texts of all chunks, the first of which is the batch's row `first_row`.
pub(crate) fn texts(chunks: &[ArrayRef], first_row: usize, nulls: Nulls) -> PyResult<Vec<&str>> {
    let mut texts = Vec::with_capacity(chunks.iter().map(Array::len).sum());
    for chunk in chunks {
        let first = texts.len();
        let is_null = chunk.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let null_rows = is_null.iter().flat_map(|nulls| (0..nulls.len()).filter(|&row| nulls.is_null(row)));
        if let (Nulls::Refuse, Some(row)) = (nulls, null_rows.clone().next()) {
            return Err(PyTypeError::new_err(format!("texts[{}] is null; expected str", first_row + first + row)));
        }
        if let Some(dictionary) = chunk.as_any_dictionary_opt() {
            if dictionary.values().is_empty() {
                texts.extend(std::iter::repeat_n("", chunk.len())); // nulls all
            } else {
                push_strings(dictionary.values(), dictionary.normalized_keys().into_iter(), &mut texts); // a null has any key
            }
        } else {
            push_strings(chunk, 0..chunk.len(), &mut texts);
        }
        null_rows.for_each(|row| texts[first + row] = "");
    }
    Ok(texts)
}

fn push_strings<'a>(array: &'a ArrayRef, rows: impl Iterator<Item = usize>, texts: &mut Vec<&'a str>) {
    match array.data_type() {
        DataType::LargeUtf8 => texts.extend(rows.map(|row| array.as_string::<i64>().value(row))),
        DataType::Utf8View => texts.extend(rows.map(|row| array.as_string_view().value(row))),
        _ => {
            let array = array.as_string::<i32>();
            texts.extend(rows.map(|row| array.value(row)));
        }
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
