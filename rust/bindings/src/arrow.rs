//! Arrow columns of strings: `string`, `large_string` and `string_view`, in one chunk or many, sliced, and
//! dictionary-encoded. The texts are borrowed, not copied.

use crate::arrow_check::{RawArray, RawSchema, RawStream};
use crate::nulls::Nulls;
use crate::texts::missing_text;
use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayRef, GenericStringArray, OffsetSizeTrait, make_array};
use arrow_schema::{ArrowError, DataType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ffi::CStr;
use std::ops::Range;

/// A column of strings.
pub(crate) struct Column {
    chunks: Vec<ArrayRef>,
}

impl Column {
    /// Imports and validates the column, except for the UTF-8 of `string` and `large_string`, which is checked when texts
    /// are read.
    pub(crate) fn new(column: &Bound<'_, PyAny>) -> PyResult<Self> {
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
                let message = format!("texts is an Arrow column of {found}; expected one of strings");
                return Err(PyTypeError::new_err(message));
            }
            let data = chunk.to_data();
            match chunk.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 => data.validate(),
                _ => data.validate_full(),
            }
            .map_err(malformed)?;
        }
        Ok(Self { chunks })
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Array::len).sum()
    }

    /// Appends the texts of these rows.
    pub(crate) fn read<'t>(&'t self, rows: Range<usize>, nulls: Nulls, texts: &mut Vec<&'t str>) -> PyResult<()> {
        let mut begin = 0;
        for chunk in &self.chunks {
            let end = begin + chunk.len();
            let (from, to) = (rows.start.max(begin), rows.end.min(end));
            if from < to {
                read_chunk(chunk, begin, from - begin..to - begin, nulls, texts)?;
            }
            begin = end;
        }
        Ok(())
    }
}

fn read_chunk<'t>(
    chunk: &'t ArrayRef,
    first_row: usize,
    rows: Range<usize>,
    nulls: Nulls,
    texts: &mut Vec<&'t str>,
) -> PyResult<()> {
    let slice = chunk.slice(rows.start, rows.len());
    let null_bits = slice.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let is_null = |row: usize| null_bits.as_ref().is_some_and(|nulls| nulls.is_null(row - rows.start));
    if let (Nulls::Refuse, Some(row)) = (nulls, rows.clone().find(|&row| is_null(row))) {
        return Err(missing_text(first_row + row, "null"));
    }
    if let (Some(dictionary), Some(slice)) = (chunk.as_any_dictionary_opt(), slice.as_any_dictionary_opt()) {
        if dictionary.values().is_empty() {
            texts.extend(rows.map(|_| "")); // the column was checked: all rows are null
            return Ok(());
        }
        for (row, key) in rows.clone().zip(slice.normalized_keys()) {
            if is_null(row) {
                texts.push("");
            } else {
                push_strings(dictionary.values(), first_row, key..key + 1, |_| false, texts)?;
            }
        }
        return Ok(());
    }
    push_strings(chunk, first_row, rows.clone(), is_null, texts)
}

fn push_strings<'t>(
    array: &'t ArrayRef,
    first_row: usize,
    rows: Range<usize>,
    is_null: impl Fn(usize) -> bool,
    texts: &mut Vec<&'t str>,
) -> PyResult<()> {
    match array.data_type() {
        DataType::Utf8 => push_plain::<i32>(array.as_string(), first_row, rows, is_null, texts),
        DataType::LargeUtf8 => push_plain::<i64>(array.as_string(), first_row, rows, is_null, texts),
        _ => {
            let array = array.as_string_view();
            texts.extend(rows.map(|row| if is_null(row) { "" } else { array.value(row) }));
            Ok(())
        }
    }
}

/// Strings that lie one after the other in one buffer, so that their UTF-8 is checked at once.
fn push_plain<'t, O: OffsetSizeTrait>(
    array: &'t GenericStringArray<O>,
    first_row: usize,
    rows: Range<usize>,
    is_null: impl Fn(usize) -> bool,
    texts: &mut Vec<&'t str>,
) -> PyResult<()> {
    let offsets = &array.value_offsets()[rows.start..=rows.end];
    let bytes = array.values().as_slice();
    let (from, to) = (offsets[0].as_usize(), offsets[rows.len()].as_usize());
    let together = bytes.get(from..to).and_then(|bytes| std::str::from_utf8(bytes).ok());
    for (row, ends) in rows.zip(offsets.windows(2)) {
        let (start, end) = (ends[0].as_usize(), ends[1].as_usize());
        let text = match together {
            Some(all) => all.get(start.wrapping_sub(from)..end.wrapping_sub(from)),
            None => bytes.get(start..end).and_then(|bytes| std::str::from_utf8(bytes).ok()),
        };
        texts.push(match text {
            _ if is_null(row) => "", // a null may point anywhere
            Some(text) => text,
            None => {
                let row = first_row + row;
                return Err(malformed(format!("row {row} is not UTF-8, or lies outside the column's data")));
            }
        });
    }
    Ok(())
}

fn malformed(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("texts is a malformed Arrow column: {error}"))
}

/// Takes ownership of the column's C structures, by the rules of the Arrow `PyCapsule` interface: they are moved out and
/// marked as released in the capsule, so that each is released once, by us.
fn import(column: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    let refused = |why: String| PyValueError::new_err(format!("texts is no readable Arrow column: {why}"));
    let unreadable = |error: ArrowError| PyValueError::new_err(format!("texts is no readable Arrow column: {error}"));
    if column.hasattr("__arrow_c_stream__")? {
        let capsule = column.call_method0("__arrow_c_stream__")?;
        let stream: *mut FFI_ArrowArrayStream = pointer(&capsule, c"arrow_array_stream")?;
        // SAFETY: a capsule of this name holds a stream, of which this is the layout.
        #[allow(unsafe_code)]
        unsafe { &mut *stream.cast::<RawStream>() }.check().map_err(refused)?;
        // SAFETY: a capsule of this name holds a valid stream.
        #[allow(unsafe_code)]
        let reader = unsafe { ArrayStreamReader::from_raw(stream) };
        return reader.map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable);
    }
    let capsules = column.call_method0("__arrow_c_array__")?;
    let (schema, array): (Bound<'_, PyAny>, Bound<'_, PyAny>) = capsules.extract()?;
    let schema: *mut FFI_ArrowSchema = pointer(&schema, c"arrow_schema")?;
    let array: *mut FFI_ArrowArray = pointer(&array, c"arrow_array")?;
    // SAFETY: capsules of these names hold a schema and an array, of which these are the layouts.
    #[allow(unsafe_code)]
    let (raw_schema, raw_array) = unsafe { (&*schema.cast::<RawSchema>(), &*array.cast::<RawArray>()) };
    raw_schema.check().and_then(|()| raw_array.check(raw_schema)).map_err(refused)?;
    // SAFETY: capsules of these names hold a valid schema and a valid array, which belong together.
    #[allow(unsafe_code)]
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array), &FFI_ArrowSchema::from_raw(schema)) };
    Ok(vec![make_array(data.map_err(unreadable)?)])
}

fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    Ok(capsule.cast::<PyCapsule>()?.pointer_checked(Some(name))?.cast().as_ptr())
}
