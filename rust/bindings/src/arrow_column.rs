//! Arrow columns of strings: `string`, `large_string` and `string_view`, in one chunk or many, sliced, and
//! dictionary-encoded. The texts are borrowed, not copied. Nothing here knows of Python, so that it can be fuzzed.

use crate::arrow_check::{HANDED_OVER, RawArray, RawSchema};
use crate::nulls::Nulls;
use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, ArrayRef, GenericStringArray, OffsetSizeTrait, make_array};
use arrow_schema::DataType;
use std::ffi::CStr;
use std::ops::Range;

/// Why a column cannot be read.
#[derive(Debug)]
pub(crate) enum ColumnError {
    /// It has no strings: what it is instead.
    NotStrings(DataType),
    /// Its structures, or the data in them, are no valid Arrow.
    Malformed(String),
    /// The text in this row is null.
    Null(usize),
}

/// A column of strings.
pub(crate) struct Column {
    chunks: Vec<ArrayRef>,
}

impl Column {
    /// Takes ownership of an array, by the rules of the Arrow C data interface: the structures are moved out and marked as
    /// released, so that each is released once, by us.
    ///
    /// # Safety
    ///
    /// The pointers are to structures of the interface, and buffers are as long as these say.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn from_array(
        schema: *mut FFI_ArrowSchema,
        array: *mut FFI_ArrowArray,
    ) -> Result<Self, ColumnError> {
        // SAFETY: the caller vouches for the structures.
        unsafe {
            let (schema, array) = (FFI_ArrowSchema::from_raw(schema), FFI_ArrowArray::from_raw(array));
            check_is_text(&schema)?;
            Ok(Self { chunks: vec![imported(array, &schema)?] })
        }
    }

    /// The same for all arrays of a stream.
    ///
    /// # Safety
    ///
    /// The pointer is to a stream of the interface, and the buffers of its arrays are as long as these say.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn from_stream(stream: *mut FFI_ArrowArrayStream) -> Result<Self, ColumnError> {
        // SAFETY: the caller vouches for the stream, whose own functions fill in a structure, or fail and leave it empty.
        unsafe {
            let mut stream = FFI_ArrowArrayStream::from_raw(stream);
            let (Some(get_schema), Some(get_next)) = (stream.get_schema(), stream.get_next()) else {
                return Err(malformed(HANDED_OVER));
            };
            let mut schema = FFI_ArrowSchema::empty();
            if get_schema(&raw mut stream, &raw mut schema) != 0 {
                return Err(last_error(&mut stream));
            }
            check_is_text(&schema)?;
            let mut chunks = Vec::new();
            loop {
                let mut array = FFI_ArrowArray::empty();
                if get_next(&raw mut stream, &raw mut array) != 0 {
                    return Err(last_error(&mut stream));
                }
                if array.is_released() {
                    return Ok(Self { chunks });
                }
                chunks.push(imported(array, &schema)?);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Array::len).sum()
    }

    /// Appends the texts of these rows.
    pub(crate) fn read<'t>(
        &'t self,
        rows: Range<usize>,
        nulls: Nulls,
        texts: &mut Vec<&'t str>,
    ) -> Result<(), ColumnError> {
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

/// Refuses a schema of anything but strings.
fn check_is_text(schema: &FFI_ArrowSchema) -> Result<(), ColumnError> {
    RawSchema::of(schema).check().map_err(malformed)?;
    let data_type = DataType::try_from(schema).map_err(malformed)?;
    let values = if let DataType::Dictionary(_, values) = &data_type { &**values } else { &data_type };
    match values {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(()),
        _ => Err(ColumnError::NotStrings(data_type)),
    }
}

/// Validates an array, except for the UTF-8 of `string` and `large_string`, which is checked when texts are read.
///
/// # Safety
///
/// The buffers are as long as the array says.
#[allow(unsafe_code)]
unsafe fn imported(array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> Result<ArrayRef, ColumnError> {
    RawArray::of(&array).check(RawSchema::of(schema)).map_err(malformed)?;
    // SAFETY: the caller vouches for the buffers, and what the structures say of each other was checked.
    let data = unsafe { from_ffi(array, schema) }.map_err(malformed)?;
    match data.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => data.validate(),
        _ => data.validate_full(),
    }
    .map_err(malformed)?;
    Ok(make_array(data))
}

/// What a stream says of its last failure.
///
/// # Safety
///
/// The stream is one of the interface.
#[allow(unsafe_code)]
unsafe fn last_error(stream: &mut FFI_ArrowArrayStream) -> ColumnError {
    // SAFETY: the stream's own function, which gives null or a C string that lives as long as the stream is left alone.
    let message = unsafe {
        let message = stream.get_last_error().map_or(std::ptr::null(), |last_error| last_error(stream));
        (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
    };
    malformed(message.unwrap_or_else(|| "its stream failed".to_owned()))
}

fn read_chunk<'t>(
    chunk: &'t ArrayRef,
    first_row: usize,
    rows: Range<usize>,
    nulls: Nulls,
    texts: &mut Vec<&'t str>,
) -> Result<(), ColumnError> {
    let slice = chunk.slice(rows.start, rows.len());
    let null_bits = slice.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let is_null = |row: usize| null_bits.as_ref().is_some_and(|nulls| nulls.is_null(row - rows.start));
    if let (Nulls::Refuse, Some(row)) = (nulls, rows.clone().find(|&row| is_null(row))) {
        return Err(ColumnError::Null(first_row + row));
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
) -> Result<(), ColumnError> {
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
) -> Result<(), ColumnError> {
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

fn malformed(error: impl std::fmt::Display) -> ColumnError {
    ColumnError::Malformed(error.to_string())
}
