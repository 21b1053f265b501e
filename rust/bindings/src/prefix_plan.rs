//! `Window`: texts sorted, and laid out in batches for a text encoder that computes common prefixes once.

use crate::boundary::{guarded, items};
use cliptok::prefix_plan::{Canonical, PlanError, Window};
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The most nodes in a chunk, up to a multiple of which batches are padded.
const MAX_CHUNK: usize = 1 << 20;

/// See `_engine.pyi`.
#[pyclass(frozen, name = "Window", module = "cliptok._engine")]
pub(crate) struct PyWindow(Window);

/// First row, one past the last, and (nodes, end-of-sequence nodes) of the canonical size.
type Split = (usize, usize, (usize, usize));

/// Packed parts, number of pairs, groups, nodes.
type Built<'py> = (Bound<'py, PyArray1<i32>>, usize, Vec<(usize, usize)>, usize);

#[pymethods]
impl PyWindow {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // what pyo3 borrows for the call
    fn new(
        py: Python<'_>,
        ids: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i64>,
        end_id: Option<i32>,
        positions: usize,
        vocabulary: usize,
        first_row: usize,
    ) -> PyResult<Self> {
        let (ids, offsets) = (contiguous("ids", &ids)?, contiguous("offsets", &offsets)?);
        let ascend = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        if !ascend
            || offsets.first().is_some_and(|&first| first < 0)
            || offsets.last().is_some_and(|&last| last as usize > ids.len())
        {
            return Err(PyValueError::new_err(format!(
                "offsets must ascend from 0 to at most {}, the number of ids",
                ids.len()
            )));
        }
        let sorted = guarded(|| Ok(py.detach(|| Window::sort(ids, offsets, end_id, positions, vocabulary))))?;
        sorted.map(Self).map_err(|error| {
            PyValueError::new_err(match error {
                PlanError::NoEnd { text } if end_id.is_none() => format!("texts row {} has no ids", first_row + text),
                PlanError::NoEnd { text } => format!(
                    "texts row {} has no end-of-text id ({}) among its ids; the tokenizer must add special tokens and be the encoder's own",
                    first_row + text, end_id.unwrap_or_default()
                ),
                PlanError::TooLong { text, length } => {
                    format!("texts row {} has {length} ids but the encoder has {positions} positions", first_row + text)
                }
                PlanError::OutsideVocabulary { id } => format!(
                    "texts have the id {id} but the encoder's vocabulary has {vocabulary} entries; use the encoder's own tokenizer, or resize_token_embeddings(len(tokenizer))"
                ),
                PlanError::NoSize { .. } => error.to_string(),
            })
        })
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn inverse<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_slice(py, self.0.inverse())
    }

    fn lengths<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, (0..self.0.len()).map(|row| self.0.row(row).len() as i64))
    }

    fn paths<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Bound<'py, PyArray1<i32>>> {
        self.check(start, stop, 1)?;
        guarded(|| Ok(self.0.paths(start..stop).0.into_pyarray(py)))
    }

    fn split(&self, budget: usize) -> PyResult<Vec<(usize, usize)>> {
        guarded(|| Ok(self.0.split(budget).into_iter().map(|rows| (rows.start, rows.end)).collect()))
    }

    fn split_canonical(&self, sizes: &Bound<'_, PyAny>) -> PyResult<Vec<Split>> {
        let sizes: Vec<(usize, usize)> = items(sizes)?;
        let sizes: Vec<Canonical> = sizes.into_iter().map(|(nodes, eos)| Canonical { nodes, eos }).collect();
        let batches = guarded(|| Ok(self.0.split_canonical(&sizes)))?
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(batches.into_iter().map(|(rows, size)| (rows.start, rows.end, (size.nodes, size.eos))).collect())
    }

    fn build<'py>(&self, py: Python<'py>, start: usize, stop: usize, chunk: usize) -> PyResult<Built<'py>> {
        self.check(start, stop, chunk)?;
        let layout = guarded(|| Ok(py.detach(|| self.0.build(start..stop, chunk))))?;
        Ok((layout.packed.into_pyarray(py), layout.pairs, layout.groups, layout.nodes))
    }

    #[allow(clippy::too_many_arguments)]
    fn build_canonical(
        &self,
        py: Python<'_>,
        start: usize,
        stop: usize,
        size: (usize, usize),
        chunk: usize,
        slots: usize,
        out: &Bound<'_, PyArray1<i32>>,
    ) -> PyResult<usize> {
        self.check(start, stop, chunk)?;
        let (nodes, eos) = size;
        let rows = start..stop;
        if self.0.nodes(rows.clone()) > nodes
            || rows.len() > eos
            || rows.clone().any(|row| self.0.row(row).len() > slots.saturating_add(1))
        {
            let (held, texts) = (self.0.nodes(rows.clone()), rows.len());
            return Err(PyValueError::new_err(format!(
                "{held} nodes and {texts} texts do not fit a size of {nodes} and {eos} with {slots} slots"
            )));
        }
        let mut out = out.try_readwrite().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
        let out = out.as_slice_mut().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
        let pairs = (nodes / chunk).checked_mul(slots);
        let wanted = pairs.and_then(|pairs| nodes.checked_mul(4)?.checked_add(pairs)?.checked_add(eos));
        if wanted != Some(out.len()) {
            let wanted = wanted.map_or("more than there can be".to_owned(), |wanted| wanted.to_string());
            return Err(PyValueError::new_err(format!("out has {} places; expected {wanted}", out.len())));
        }
        let size = Canonical { nodes, eos };
        guarded(|| Ok(py.detach(|| self.0.build_canonical(rows, size, chunk, slots, out))))
    }
}

impl PyWindow {
    fn check(&self, start: usize, stop: usize, chunk: usize) -> PyResult<()> {
        if start < stop && stop <= self.0.len() && (1..=MAX_CHUNK).contains(&chunk) {
            return Ok(());
        }
        Err(PyValueError::new_err(format!(
            "rows {start} to {stop} in chunks of {chunk} of a window of {} rows",
            self.0.len()
        )))
    }
}

fn contiguous<'a, T: numpy::Element>(name: &str, array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}
