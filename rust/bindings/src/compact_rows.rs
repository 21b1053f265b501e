//! Rows without their padding, for the messages between processes: a few bytes for each text.

use crate::boundary::{guarded, import_numpy};
use crate::memory::NewArray;
use cliptok::Id;
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What rows are without their padding: the content, row by row, how many columns of each row it has, whether its numbers
/// are of two bytes, and what stands in the other columns.
type Compact<'py> = (Bound<'py, PyBytes>, usize, bool, i64);

/// The columns of `rows` (..., width) up to the last one that is not all padding, as 16-bit numbers where they fit. The
/// padding is the last number of the last row.
#[pyfunction]
pub(crate) fn compact_rows<'py>(rows: &Bound<'py, PyAny>) -> PyResult<Compact<'py>> {
    import_numpy(rows.py())?;
    guarded(|| {
        if let Ok(rows) = rows.cast::<PyArrayDyn<i64>>() {
            compact(rows)
        } else if let Ok(rows) = rows.cast::<PyArrayDyn<i32>>() {
            compact(rows)
        } else if let Ok(rows) = rows.cast::<PyArrayDyn<u16>>() {
            compact(rows)
        } else {
            Err(PyTypeError::new_err("rows: expected an array of uint16, int32 or int64"))
        }
    })
}

fn compact<'py, T: Id + Element + Into<i64>>(rows: &Bound<'py, PyArrayDyn<T>>) -> PyResult<Compact<'py>> {
    let readonly = rows.try_readonly().map_err(|error| PyValueError::new_err(format!("rows: {error}")))?;
    let all = readonly.as_slice().map_err(|error| PyValueError::new_err(format!("rows: {error}")))?;
    let (Some(&fill), Some(&width)) = (all.last(), rows.shape().last()) else {
        return Ok((PyBytes::new(rows.py(), &[]), 0, true, 0));
    };
    let fill: i64 = fill.into();
    let mut columns = 0;
    let mut is_small = true;
    for row in all.chunks_exact(width) {
        let last = row[columns..].iter().rposition(|&id| id.into() != fill);
        columns += last.map_or(0, |last| last + 1);
    }
    for row in all.chunks_exact(width) {
        is_small &= row[..columns].iter().fold(true, |small, &id| small & u16::try_from(id.into()).is_ok());
    }
    let bytes = if is_small { 2 } else { size_of::<T>() };
    let content = PyBytes::new_with(rows.py(), all.len() / width * columns * bytes, |content| {
        let ids = all.chunks_exact(width).flat_map(|row| &row[..columns]).map(|&id| id.into());
        if is_small {
            ids.zip(content.as_chunks_mut().0).for_each(|(id, slot)| *slot = (id as u16).to_le_bytes());
        } else {
            ids.zip(content.chunks_exact_mut(bytes))
                .for_each(|(id, slot)| slot.copy_from_slice(&id.to_le_bytes()[..bytes]));
        }
        Ok(())
    })?;
    Ok((content, columns, is_small, fill))
}

/// The numbers (count * width,) that [`compact_rows`] was given.
#[pyfunction]
pub(crate) fn spread_rows<'py>(
    content: &Bound<'py, PyBytes>,
    columns: usize,
    is_small: bool,
    fill: i64,
    shape: (usize, usize),
    dtype: &str,
) -> PyResult<Bound<'py, PyAny>> {
    import_numpy(content.py())?;
    guarded(|| match dtype {
        "int64" => spread(content, columns, is_small, fill, shape, |id| id),
        "int32" => spread(content, columns, is_small, fill, shape, |id| id as i32),
        "uint16" => spread(content, columns, is_small, fill, shape, |id| id as u16),
        _ => Err(PyValueError::new_err(format!("dtype is {dtype:?}; expected 'uint16', 'int32' or 'int64'"))),
    })
}

fn spread<'py, T: Id + Element>(
    content: &Bound<'py, PyBytes>,
    columns: usize,
    is_small: bool,
    fill: i64,
    (count, width): (usize, usize),
    number: impl Fn(i64) -> T,
) -> PyResult<Bound<'py, PyAny>> {
    let bytes = if is_small { 2 } else { size_of::<T>() };
    let content_bytes = content.as_bytes();
    let expected = count.checked_mul(columns).and_then(|numbers| numbers.checked_mul(bytes));
    if columns > width || expected != Some(content_bytes.len()) {
        return Err(PyValueError::new_err("the content is not that of so many rows"));
    }
    let mut rows = NewArray::<T, _>::new(content.py(), [count, width])?;
    let small = |bytes: &[u8; 2]| i64::from(u16::from_le_bytes(*bytes));
    let wide = |bytes: &[u8]| {
        let mut all = [0; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(all)
    };
    for (row, slots) in rows.slice()?.chunks_exact_mut(width.max(1)).enumerate() {
        let (ids, padding) = slots.split_at_mut(columns);
        let content = &content_bytes[row * columns * bytes..][..columns * bytes];
        if is_small {
            ids.iter_mut().zip(content.as_chunks().0).for_each(|(slot, bytes)| *slot = number(small(bytes)));
        } else {
            ids.iter_mut().zip(content.chunks_exact(bytes)).for_each(|(slot, bytes)| *slot = number(wide(bytes)));
        }
        padding.fill(number(fill));
    }
    Ok(rows.into_array().into_any())
}
