//! A batch into the rows of an array: a new one or the caller's.

use crate::engine::{Failure, PyEngine, value_error};
use crate::memory::Fresh;
use crate::texts::{Batch, Nulls};
use cliptok::{Error, Feed, Id, RowOptions, Rows};
use numpy::ndarray::{Ix1, Ix2};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::ops::Range;

/// Ids (texts, width), lengths (texts,) and mask (texts, width), these two where they were asked for.
pub(crate) type Arrays<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyArray1<i64>>>, Option<Bound<'py, PyArray2<i64>>>);

/// Lengths and mask.
type Beside<'py> = (Option<Bound<'py, PyArray1<i64>>>, Option<Bound<'py, PyArray2<i64>>>);

/// What is to be done.
pub(crate) struct Fill<'py> {
    pub(crate) py: Python<'py>,
    pub(crate) batch: Batch<'py>,
    pub(crate) nulls: Nulls,
    pub(crate) options: RowOptions,
    pub(crate) refuse_long: bool,
    pub(crate) mask: bool,
    pub(crate) lengths: bool,
    pub(crate) threads: usize,
}

impl<'py> Fill<'py> {
    /// Into a new array.
    pub(crate) fn to_fresh(&self, engine: &PyEngine, dtype: &str) -> PyResult<Arrays<'py>> {
        match dtype {
            "int64" => self.fresh_of::<i64>(engine),
            "int32" => self.fresh_of::<i32>(engine),
            "uint16" => self.fresh_of::<u16>(engine),
            _ => Err(PyValueError::new_err(format!("dtype is {dtype:?}; expected 'uint16', 'int32' or 'int64'"))),
        }
    }

    fn fresh_of<T: Id + Element>(&self, engine: &PyEngine) -> PyResult<Arrays<'py>> {
        let mut ids = Fresh::<T, _>::new(self.py, [self.batch.len(), self.options.width])?;
        let (lengths, mask) = self.fill(engine, ids.slice()?)?;
        Ok((ids.into_array().into_any(), lengths, mask))
    }

    /// Into the caller's array.
    pub(crate) fn to_out(&self, engine: &PyEngine, out: &Bound<'py, PyAny>) -> PyResult<Arrays<'py>> {
        let (lengths, mask) = if let Ok(out) = out.cast::<PyArray2<i64>>() {
            self.out_of(engine, out)
        } else if let Ok(out) = out.cast::<PyArray2<i32>>() {
            self.out_of(engine, out)
        } else if let Ok(out) = out.cast::<PyArray2<u16>>() {
            self.out_of(engine, out)
        } else {
            Err(PyTypeError::new_err("out: expected a two-dimensional array of uint16, int32 or int64"))
        }?;
        Ok((out.clone(), lengths, mask))
    }

    fn out_of<T: Id + Element>(&self, engine: &PyEngine, out: &Bound<'py, PyArray2<T>>) -> PyResult<Beside<'py>> {
        if out.shape() != [self.batch.len(), self.options.width] {
            let (rows, width) = (self.batch.len(), self.options.width);
            return Err(PyValueError::new_err(format!("out has shape {:?}; expected {rows} by {width}", out.shape())));
        }
        let mut ids = out.try_readwrite().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
        let ids = ids.as_slice_mut().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
        self.fill(engine, ids)
    }

    /// Fills the rows; returns lengths and mask where they are wanted.
    fn fill<T: Id>(&self, engine: &PyEngine, ids: &mut [T]) -> PyResult<Beside<'py>> {
        let Self { py, ref batch, options, .. } = *self;
        let (count, width) = (batch.len(), options.width);
        let mut lengths = self.lengths.then(|| Fresh::<i64, Ix1>::new(py, count)).transpose()?;
        let mut mask = self.mask.then(|| Fresh::<i64, Ix2>::new(py, [count, width])).transpose()?;
        let mut length_places = lengths.as_mut().map(Fresh::slice).transpose()?;
        let mut mask_places = mask.as_mut().map(Fresh::slice).transpose()?;
        let rows = Rows { ids: &mut *ids, lengths: length_places.as_deref_mut(), mask: mask_places.as_deref_mut() };
        let report = engine
            .engine
            .fill_rows_from(&mut Feeder(self), count, rows, options, self.threads)
            .map_err(|failure| failure.0)?;
        let mut first_cut = report.first_cut;
        for (row, text) in report.needs_cleaning {
            let cells = row * width..(row + 1) * width;
            let mask = mask_places.as_mut().map(|mask| &mut mask[cells.clone()]);
            let (length, cut) = engine
                .engine
                .fill_row_cleaned(text, &mut ids[cells], mask, options, |text| engine.clean(py, text))
                .map_err(|failure: Failure| failure.0)?;
            if cut {
                first_cut = Some(first_cut.map_or(row, |first| first.min(row)));
            }
            if let Some(lengths) = &mut length_places {
                lengths[row] = length as i64;
            }
        }
        match first_cut.filter(|_| self.refuse_long) {
            Some(row) => Err(value_error(&Error::TooLong { row, max_length: width })),
            None => Ok((lengths.map(Fresh::into_array), mask.map(Fresh::into_array))),
        }
    }
}

/// Takes up a batch's texts, with the interpreter, and lets go of it for the rest of the work.
struct Feeder<'t, 'py>(&'t Fill<'py>);

impl<'t> Feed<'t> for Feeder<'t, '_> {
    type Error = Failure;

    fn take_up(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Failure> {
        self.0.batch.take_up(rows, self.0.nulls, texts).map_err(Failure)
    }

    fn meanwhile(&mut self, work: &mut (dyn FnMut() + Send)) {
        // Few texts take less time than letting go of the interpreter, and getting hold of it again.
        const FEW: usize = 16;
        if self.0.batch.len() < FEW { work() } else { self.0.py.detach(work) }
    }
}
