//! Encoding a batch into the rows of a new array or of the caller's.

use crate::boundary::stoppable;
use crate::errors::{Failure, value_error};
use crate::memory::NewArray;
use crate::nulls::Nulls;
use crate::texts::{Batch, utf8};
use cliptok::{Engine, Error, Id, RowOptions, Rows, TextSource};
use numpy::ndarray::{Ix1, Ix2};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::ops::Range;

/// Ids (n, width), lengths (n,) and mask (n, width), the latter two if requested.
pub(crate) type Arrays<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyArray1<i64>>>, Option<Bound<'py, PyArray2<i64>>>);

/// Lengths (n,) and mask (n, width), if requested.
type LengthsAndMask<'py> = (Option<Bound<'py, PyArray1<i64>>>, Option<Bound<'py, PyArray2<i64>>>);

/// Ids and mask (1, length).
pub(crate) type Row<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<i64>>);

/// The row of one text, truncated to `max_length` ids and padded to `options.width`. Signals are not looked for meanwhile.
pub(crate) fn one<'py>(
    engine: &Engine,
    text: &Bound<'py, PyAny>,
    max_length: Option<usize>,
    mut options: RowOptions,
) -> PyResult<Row<'py>> {
    let (py, text) = (text.py(), utf8(text.as_borrowed(), || "texts[0]".to_owned())?);
    let is_of_one_length = max_length == Some(options.width);
    let mut packed: Vec<i64> = Vec::new();
    if !is_of_one_length {
        let specials = options.add_special_tokens;
        engine.pack(&[text], max_length, specials, 1, &mut packed).map_err(|error| value_error(&error))?;
        options.width = options.width.max(packed.len());
    }
    let shape = [1, options.width];
    let (mut new_ids, mut new_mask) = (NewArray::new(py, shape)?, NewArray::new(py, shape)?);
    let (ids, mask) = (new_ids.slice()?, new_mask.slice()?);
    if is_of_one_length {
        let rows = Rows { ids, lengths: None, mask: Some(mask) };
        engine.fill_rows(&[text], rows, options, 1).map_err(|error| value_error(&error))?;
    } else {
        let real = if options.pad_left { options.width - packed.len()..options.width } else { 0..packed.len() };
        ids.fill(options.pad.into());
        ids[real.clone()].copy_from_slice(&packed);
        mask.fill(0);
        mask[real].fill(1);
    }
    Ok((new_ids.into_array(), new_mask.into_array()))
}

/// A batch and how to encode it.
pub(crate) struct Fill<'e, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) engine: &'e Engine,
    pub(crate) batch: Batch<'py>,
    pub(crate) nulls: Nulls,
    pub(crate) options: RowOptions,
    pub(crate) refuse_long: bool,
    pub(crate) mask: bool,
    pub(crate) lengths: bool,
    pub(crate) threads: usize,
}

impl<'py> Fill<'_, 'py> {
    /// Into a new array.
    pub(crate) fn into_new(self, dtype: &str) -> PyResult<Arrays<'py>> {
        match dtype {
            "int64" => self.new_of::<i64>(),
            "int32" => self.new_of::<i32>(),
            "uint16" => self.new_of::<u16>(),
            _ => Err(PyValueError::new_err(format!("dtype is {dtype:?}; expected 'uint16', 'int32' or 'int64'"))),
        }
    }

    fn new_of<T: Id + Element>(&self) -> PyResult<Arrays<'py>> {
        let mut ids = NewArray::<T, _>::new(self.py, [self.batch.len(), self.options.width])?;
        let (lengths, mask) = self.fill(ids.slice()?)?;
        Ok((ids.into_array().into_any(), lengths, mask))
    }

    /// Into the caller's array.
    pub(crate) fn into_out(self, out: &Bound<'py, PyAny>) -> PyResult<Arrays<'py>> {
        let (lengths, mask) = if let Ok(out) = out.cast::<PyArray2<i64>>() {
            self.out_of(out)
        } else if let Ok(out) = out.cast::<PyArray2<i32>>() {
            self.out_of(out)
        } else if let Ok(out) = out.cast::<PyArray2<u16>>() {
            self.out_of(out)
        } else {
            Err(PyTypeError::new_err("out: expected a two-dimensional array of uint16, int32 or int64"))
        }?;
        Ok((out.clone(), lengths, mask))
    }

    fn out_of<T: Id + Element>(&self, out: &Bound<'py, PyArray2<T>>) -> PyResult<LengthsAndMask<'py>> {
        if out.shape() != [self.batch.len(), self.options.width] {
            let (rows, width) = (self.batch.len(), self.options.width);
            return Err(PyValueError::new_err(format!("out has shape {:?}; expected {rows} by {width}", out.shape())));
        }
        let mut ids = out.try_readwrite().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
        let ids = ids.as_slice_mut().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
        self.fill(ids)
    }

    /// Fills the rows; returns lengths and mask if requested.
    fn fill<T: Id>(&self, ids: &mut [T]) -> PyResult<LengthsAndMask<'py>> {
        let Self { py, engine, ref batch, options, .. } = *self;
        let (count, width) = (batch.len(), options.width);
        let mut lengths = self.lengths.then(|| NewArray::<i64, Ix1>::new(py, count)).transpose()?;
        let mut mask = self.mask.then(|| NewArray::<i64, Ix2>::new(py, [count, width])).transpose()?;
        let length_slots = lengths.as_mut().map(NewArray::slice).transpose()?;
        let mask_slots = mask.as_mut().map(NewArray::slice).transpose()?;
        let rows = Rows { ids, lengths: length_slots, mask: mask_slots };
        let report = stoppable(py, || engine.fill_rows_from(&mut Reader(self), count, rows, options, self.threads))?
            .map_err(|failure| failure.0)?;
        match report.first_truncated.filter(|_| self.refuse_long) {
            Some(row) => Err(value_error(&Error::TooLong { row, max_length: width })),
            None => Ok((lengths.map(NewArray::into_array), mask.map(NewArray::into_array))),
        }
    }
}

/// Reads a batch's texts with the interpreter attached, and detaches from it while texts are encoded.
struct Reader<'t, 'e, 'py>(&'t Fill<'e, 'py>);

impl<'t> TextSource<'t> for Reader<'t, '_, '_> {
    type Error = Failure;

    fn read(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Failure> {
        self.0.batch.read(rows, self.0.nulls, texts).map_err(Failure)
    }

    fn run_detached(&mut self, task: &mut (dyn FnMut() + Send)) {
        // A few texts take less time than detaching from the interpreter and attaching again.
        const FEW: usize = 16;
        if self.0.batch.len() < FEW { task() } else { self.0.py.detach(task) }
    }
}
