//! The Python class around the engine.

use crate::memory;
use crate::texts::{Batch, Nulls, utf8};
use cliptok::{AddedToken, Engine, Error, Feed, Id, Profile, RowOptions, Rows, Vocabulary};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyReadwriteArray1, PyReadwriteArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::collections::HashMap;
use std::ops::Range;

type PyAddedToken = (u32, String, bool, bool, bool, bool, bool);
type Offsets = Vec<(usize, usize)>;
/// All ids joined, and where each text's begin and end.
type Packed<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<i64>>);
type PyVocabulary = (HashMap<String, u32>, Vec<(String, String)>, Option<String>);

#[pyclass(name = "Engine", module = "cliptok._engine", frozen)]
pub(crate) struct PyEngine {
    engine: Engine,
    clean: Option<Py<PyAny>>,
}

/// What an engine's error or a Python callback's exception becomes.
struct Failure(PyErr);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(value_error(&error))
    }
}

fn nulls(as_empty: bool) -> Nulls {
    if as_empty { Nulls::Empty } else { Nulls::Refuse }
}

fn value_error(error: &Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn added_tokens(tokens: Vec<PyAddedToken>) -> Vec<AddedToken> {
    let token = |(id, content, special, normalized, lstrip, rstrip, single_word)| AddedToken {
        id,
        content,
        special,
        normalized,
        lstrip,
        rstrip,
        single_word,
    };
    tokens.into_iter().map(token).collect()
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (profile, added_tokens, start_id, end_id, clean=None, vocabulary=None))]
    fn new(
        profile: &str,
        added_tokens: Vec<PyAddedToken>,
        start_id: u32,
        end_id: u32,
        clean: Option<Py<PyAny>>,
        vocabulary: Option<PyVocabulary>,
    ) -> PyResult<Self> {
        let Some(profile) = Profile::from_name(profile) else {
            let names: Vec<_> = Profile::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(PyValueError::new_err(format!("profile is {profile:?}; expected one of {names:?}")));
        };
        if profile.cleans() && clean.is_none() {
            return Err(PyTypeError::new_err("clean: this profile needs its cleaning function"));
        }
        let vocabulary = match vocabulary {
            Some((tokens, merges, unknown)) => Vocabulary::new(tokens, merges, unknown.as_deref()),
            None if profile == Profile::OpenClip => Ok(Vocabulary::open_clip()),
            None => Ok(Vocabulary::clip()),
        };
        let engine = vocabulary
            .and_then(|vocabulary| Engine::new(profile, vocabulary, self::added_tokens(added_tokens), start_id, end_id))
            .map_err(|error| value_error(&error))?;
        Ok(Self { engine, clean })
    }

    fn with_added_tokens(
        &self,
        py: Python<'_>,
        added_tokens: Vec<PyAddedToken>,
        start_id: u32,
        end_id: u32,
    ) -> PyResult<Self> {
        let (profile, vocabulary) = (self.engine.profile(), self.engine.vocabulary().clone());
        let engine = Engine::new(profile, vocabulary, self::added_tokens(added_tokens), start_id, end_id)
            .map_err(|error| value_error(&error))?;
        Ok(Self { engine, clean: self.clean.as_ref().map(|clean| clean.clone_ref(py)) })
    }

    #[pyo3(signature = (text, add_special_tokens=false))]
    fn encode(&self, text: &Bound<'_, PyAny>, add_special_tokens: bool) -> PyResult<Vec<u32>> {
        let py = text.py();
        let text = utf8(text.as_borrowed(), || "text".to_owned())?;
        let mut ids = if self.engine.needs_cleaning(text) {
            self.engine.encode_cleaned(text, |text| self.clean(py, text)).map_err(|failure| failure.0)?
        } else {
            self.engine.encode(text)
        };
        if add_special_tokens {
            let [start, end] = self.engine.start_and_end();
            ids.insert(0, start);
            ids.push(end);
        }
        Ok(ids)
    }

    fn encode_offsets(&self, text: &Bound<'_, PyAny>) -> PyResult<(Vec<u32>, Offsets)> {
        if self.engine.profile().cleans() {
            return Err(PyValueError::new_err("offsets are only defined in the profile `transformers`"));
        }
        let text = utf8(text.as_borrowed(), || "text".to_owned())?;
        // Offsets in bytes become offsets in characters.
        let mut characters = vec![0; text.len() + 1];
        for (i, (byte, c)) in text.char_indices().enumerate() {
            characters[byte + c.len_utf8()] = i + 1;
        }
        let tokens = self.engine.encode_offsets(text);
        Ok(tokens.into_iter().map(|(id, range)| (id, (characters[range.start], characters[range.end]))).unzip())
    }

    #[pyo3(signature = (texts, out, pad_id, *, add_special_tokens=true, pad_left=false, refuse_long=false,
                        null_as_empty=false, lengths=None, mask=None, threads=1))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
    fn fill_rows(
        &self,
        texts: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
        pad_id: u32,
        add_special_tokens: bool,
        pad_left: bool,
        refuse_long: bool,
        null_as_empty: bool,
        lengths: Option<&Bound<'_, PyArray1<i64>>>,
        mask: Option<&Bound<'_, PyArray2<i64>>>,
        threads: usize,
    ) -> PyResult<()> {
        let (batch, nulls) = (Batch::new(texts)?, nulls(null_as_empty));
        let fill =
            &Fill { batch, nulls, pad: pad_id, add_special_tokens, pad_left, refuse_long, lengths, mask, threads };
        if let Ok(out) = out.cast::<PyArray2<i64>>() {
            self.fill(out, fill)
        } else if let Ok(out) = out.cast::<PyArray2<i32>>() {
            self.fill(out, fill)
        } else if let Ok(out) = out.cast::<PyArray2<u16>>() {
            self.fill(out, fill)
        } else {
            Err(PyTypeError::new_err("out: expected a two-dimensional array of uint16, int32 or int64"))
        }
    }

    #[pyo3(signature = (texts, dtype, max_length, *, add_special_tokens=true, null_as_empty=false, threads=1))]
    fn pack<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        dtype: &str,
        max_length: Option<usize>,
        add_special_tokens: bool,
        null_as_empty: bool,
        threads: usize,
    ) -> PyResult<Packed<'py>> {
        let (batch, nulls) = (Batch::new(texts)?, nulls(null_as_empty));
        let pack = &Pack { batch, nulls, max_length, add_special_tokens, threads };
        match dtype {
            "int64" => self.pack_as::<i64>(texts.py(), pack),
            "int32" => self.pack_as::<i32>(texts.py(), pack),
            "uint16" => self.pack_as::<u16>(texts.py(), pack),
            _ => Err(PyValueError::new_err(format!("dtype is {dtype:?}; expected 'uint16', 'int32' or 'int64'"))),
        }
    }

    #[pyo3(signature = (texts, *, null_as_empty=false, threads=1))]
    fn count<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        null_as_empty: bool,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let py = texts.py();
        let batch = Batch::new(texts)?;
        let texts = &batch.texts(nulls(null_as_empty))?[..];
        let mut counts = vec![0; texts.len()];
        py.detach(|| self.engine.count(texts, &mut counts, threads, |text| self.clean_attached(text)))
            .map_err(|failure| failure.0)?;
        Ok(PyArray1::from_vec(py, counts))
    }

    #[pyo3(signature = (ids, skip_special_tokens=false))]
    fn decode(&self, ids: &Bound<'_, PyAny>, skip_special_tokens: bool) -> PyResult<String> {
        let in_range = |id: Bound<'_, PyAny>| {
            id.extract::<u32>().map_err(|error| {
                if error.is_instance_of::<PyOverflowError>(id.py()) {
                    return PyValueError::new_err(format!("id {id} has no token in this vocabulary"));
                }
                error
            })
        };
        let ids = ids.try_iter()?.map(|id| in_range(id?)).collect::<PyResult<Vec<u32>>>()?;
        self.engine.decode(&ids, skip_special_tokens).map_err(|error| value_error(&error))
    }

    fn id_to_token(&self, id: u32) -> Option<&str> {
        self.engine.token(id)
    }

    fn token_to_id(&self, token: &Bound<'_, PyString>) -> Option<u32> {
        self.engine.id(token.to_str().ok()?) // a lone surrogate is in no token
    }

    fn vocabulary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (token, id) in self.engine.vocabulary().tokens() {
            dict.set_item(token, id)?;
        }
        Ok(dict)
    }

    fn merges(&self) -> Vec<(String, String)> {
        self.engine.vocabulary().merges()
    }

    #[getter]
    fn vocabulary_size(&self) -> usize {
        self.engine.vocabulary().len()
    }
}

/// What `fill_rows` was called with.
struct Fill<'a, 'py> {
    batch: Batch<'py>,
    nulls: Nulls,
    pad: u32,
    add_special_tokens: bool,
    pad_left: bool,
    refuse_long: bool,
    lengths: Option<&'a Bound<'py, PyArray1<i64>>>,
    mask: Option<&'a Bound<'py, PyArray2<i64>>>,
    threads: usize,
}

/// Takes up a batch's texts, with the interpreter, and lets go of it for the rest of the work.
struct Feeder<'t, 'a, 'py> {
    py: Python<'py>,
    fill: &'t Fill<'a, 'py>,
}

impl<'t> Feed<'t> for Feeder<'t, '_, '_> {
    type Error = Failure;

    fn take_up(&mut self, rows: Range<usize>, texts: &mut Vec<&'t str>) -> Result<(), Failure> {
        self.fill.batch.take_up(rows, self.fill.nulls, texts).map_err(Failure)
    }

    fn meanwhile(&mut self, work: &mut (dyn FnMut() + Send)) {
        self.py.detach(work);
    }
}

struct Pack<'py> {
    batch: Batch<'py>,
    nulls: Nulls,
    max_length: Option<usize>,
    add_special_tokens: bool,
    threads: usize,
}

impl PyEngine {
    fn fill<'py, T: Id + Element>(&self, out: &Bound<'py, PyArray2<T>>, fill: &Fill<'_, 'py>) -> PyResult<()> {
        let py = out.py();
        let &[rows, width] = out.shape() else { return Err(PyTypeError::new_err("out: expected two dimensions")) };
        let options =
            RowOptions { width, pad: fill.pad, add_special_tokens: fill.add_special_tokens, pad_left: fill.pad_left };
        let mut ids = writable2(out, "out")?;
        let mut lengths = fill.lengths.map(|lengths| writable1(lengths, "lengths")).transpose()?;
        let mut mask = fill.mask.map(|mask| writable2(mask, "mask")).transpose()?;
        let ids = slice2(&mut ids, "out")?;
        let mut lengths = lengths.as_mut().map(|lengths| slice1(lengths, "lengths")).transpose()?;
        let mut mask = mask.as_mut().map(|mask| slice2(mask, "mask")).transpose()?;
        if rows != fill.batch.len() {
            return Err(PyValueError::new_err(format!("out has {rows} rows for {} texts", fill.batch.len())));
        }
        let target = Rows { ids: &mut *ids, lengths: lengths.as_deref_mut(), mask: mask.as_deref_mut() };
        let report = self
            .engine
            .fill_rows_from(&mut Feeder { py, fill }, rows, target, options, fill.threads)
            .map_err(|failure| failure.0)?;
        let mut first_cut = report.first_cut;
        for (row, text) in report.needs_cleaning {
            let cells = row * width..(row + 1) * width;
            let mask = mask.as_mut().map(|mask| &mut mask[cells.clone()]);
            let (length, cut) = self
                .engine
                .fill_row_cleaned(text, &mut ids[cells], mask, options, |text| self.clean(py, text))
                .map_err(|failure: Failure| failure.0)?;
            if cut {
                first_cut = Some(first_cut.map_or(row, |first| first.min(row)));
            }
            if let Some(lengths) = &mut lengths {
                lengths[row] = length as i64;
            }
        }
        match first_cut.filter(|_| fill.refuse_long) {
            Some(row) => Err(value_error(&Error::TooLong { row, max_length: width })),
            None => Ok(()),
        }
    }

    fn pack_as<'py, T: Id + Element>(&self, py: Python<'py>, pack: &Pack<'py>) -> PyResult<Packed<'py>> {
        let texts = &pack.batch.texts(pack.nulls)?[..];
        let Pack { max_length, add_special_tokens, threads, .. } = *pack;
        let packed = py
            .detach(|| {
                self.engine.pack::<T, _, Failure>(texts, max_length, add_special_tokens, threads, |text| {
                    self.clean_attached(text)
                })
            })
            .map_err(|failure| failure.0)?;
        let ids = memory::empty::<T, _>(py, packed.len())?;
        let mut places = ids.readwrite();
        let target = places.as_slice_mut()?;
        py.detach(|| packed.copy_into(target));
        drop(places);
        let offsets = packed.offsets().iter().map(|&offset| offset as i64);
        Ok((ids.into_any(), PyArray1::from_iter(py, offsets)))
    }

    /// The profile's cleaning in Python. It is there when the profile cleans: `new` saw to that.
    fn clean(&self, py: Python<'_>, text: &str) -> Result<String, Failure> {
        let Some(clean) = &self.clean else {
            return Ok(text.to_owned());
        };
        clean.call1(py, (text,)).and_then(|cleaned| cleaned.extract(py)).map_err(Failure)
    }

    fn clean_attached(&self, text: &str) -> Result<String, Failure> {
        Python::attach(|py| self.clean(py, text))
    }
}

fn writable1<'py>(array: &Bound<'py, PyArray1<i64>>, name: &str) -> PyResult<PyReadwriteArray1<'py, i64>> {
    array.try_readwrite().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn writable2<'py, T: Element>(array: &Bound<'py, PyArray2<T>>, name: &str) -> PyResult<PyReadwriteArray2<'py, T>> {
    array.try_readwrite().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn slice1<'a>(array: &'a mut PyReadwriteArray1<'_, i64>, name: &str) -> PyResult<&'a mut [i64]> {
    array.as_slice_mut().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn slice2<'a, T: Element>(array: &'a mut PyReadwriteArray2<'_, T>, name: &str) -> PyResult<&'a mut [T]> {
    array.as_slice_mut().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}
