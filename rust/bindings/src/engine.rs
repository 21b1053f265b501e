//! The Python class `Engine`.

use crate::boundary::{guarded, import_numpy, items, stoppable};
use crate::errors::value_error;
use crate::memory::{GrowingArray, zeros};
use crate::nulls::Nulls;
use crate::rows;
use crate::texts::{Batch, utf8};
use cliptok::{AddedToken, Engine, Id, Profile, RowOptions, Vocabulary};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use std::collections::HashMap;

type PyAddedToken = (u32, String, bool, bool, bool, bool, bool);
/// From as many bytes of a text, or ids, on, signals are looked for meanwhile.
const LONG: usize = 1 << 16;

/// The ids of all texts joined, the characters that each covers (total, 2), and n + 1 offsets of the texts in them.
type Spans<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<i64>>, Bound<'py, PyArray1<i64>>);
/// The ids of all texts joined, and n + 1 offsets of the texts in them.
type Packed<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<i64>>);
type PyVocabulary<'py> = (HashMap<String, u32>, Bound<'py, PyAny>, Option<String>);

#[pyclass(name = "Engine", module = "cliptok._engine", frozen)]
pub(crate) struct PyEngine {
    engine: Engine,
}

fn added_tokens(tokens: &Bound<'_, PyAny>) -> PyResult<Vec<AddedToken>> {
    let token = |(id, content, special, normalized, lstrip, rstrip, single_word): PyAddedToken| AddedToken {
        id,
        content,
        special,
        normalized,
        lstrip,
        rstrip,
        single_word,
    };
    Ok(items(tokens)?.into_iter().map(token).collect())
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (profile, added_tokens, start_id, end_id, vocabulary=None))]
    fn new(
        profile: &str,
        added_tokens: &Bound<'_, PyAny>,
        start_id: u32,
        end_id: u32,
        vocabulary: Option<PyVocabulary<'_>>,
    ) -> PyResult<Self> {
        let added = self::added_tokens(added_tokens)?;
        let Some(profile) = Profile::from_name(profile) else {
            let names: Vec<_> = Profile::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(PyValueError::new_err(format!("profile is {profile:?}; expected one of {names:?}")));
        };
        let parts = match vocabulary {
            Some((tokens, merges, unknown)) => Some((tokens, items::<(String, String)>(&merges)?, unknown)),
            None => None,
        };
        guarded(|| {
            let vocabulary = match parts {
                Some((tokens, merges, unknown)) => Vocabulary::new(tokens, merges, unknown.as_deref()),
                None if profile == Profile::OpenClip => Ok(Vocabulary::open_clip()),
                None => Ok(Vocabulary::clip()),
            };
            let engine = vocabulary.and_then(|vocabulary| Engine::new(profile, vocabulary, added, start_id, end_id));
            Ok(Self { engine: engine.map_err(|error| value_error(&error))? })
        })
    }

    fn with_added_tokens(&self, added_tokens: &Bound<'_, PyAny>, start_id: u32, end_id: u32) -> PyResult<Self> {
        let added = self::added_tokens(added_tokens)?;
        let (profile, vocabulary) = (self.engine.profile(), self.engine.vocabulary().clone());
        guarded(|| {
            let engine = Engine::new(profile, vocabulary, added, start_id, end_id);
            Ok(Self { engine: engine.map_err(|error| value_error(&error))? })
        })
    }

    #[pyo3(signature = (text, add_special_tokens=false))]
    fn encode<'py>(&self, text: &Bound<'py, PyAny>, add_special_tokens: bool) -> PyResult<Bound<'py, PyList>> {
        let py = text.py();
        let text = utf8(text.as_borrowed(), || "text".to_owned())?;
        let ids = guarded(|| {
            let mut ids =
                if text.len() < LONG { self.engine.encode(text) } else { stoppable(py, || self.engine.encode(text))? };
            if add_special_tokens {
                let [start, end] = self.engine.start_and_end();
                ids.insert(0, start);
                ids.push(end);
            }
            Ok(ids)
        })?;
        let list = PyList::new(py, &ids[..ids.len().min(LONG)])?;
        for more in ids.chunks(LONG).skip(1) {
            py.check_signals()?;
            list.call_method1("extend", (PyList::new(py, more)?,))?;
        }
        Ok(list)
    }

    #[pyo3(signature = (texts, *, add_special_tokens=true, null_as_empty=false))]
    fn offsets<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        add_special_tokens: bool,
        null_as_empty: bool,
    ) -> PyResult<Spans<'py>> {
        if self.engine.profile().cleans() {
            return Err(PyValueError::new_err("offsets are only defined in the profile `transformers`"));
        }
        let py = texts.py();
        let batch = Batch::new(texts)?;
        import_numpy(py)?;
        let texts = &batch.texts(py, Nulls::new(null_as_empty))?[..];
        let found = guarded(|| stoppable(py, || py.detach(|| self.engine.offsets(texts, add_special_tokens))))?;
        let (spans, count) = (found.spans.into_flattened(), found.ids.len());
        Ok((
            PyArray1::from_vec(py, found.ids),
            PyArray1::from_vec(py, spans).reshape([count, 2])?,
            PyArray1::from_vec(py, found.bounds),
        ))
    }

    #[pyo3(signature = (texts, width, pad_id, *, dtype="int64", out=None, mask=false, lengths=false,
                        add_special_tokens=true, pad_left=false, refuse_long=false, null_as_empty=false, threads=1))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
    fn rows<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        width: usize,
        pad_id: u32,
        dtype: &str,
        out: Option<&Bound<'py, PyAny>>,
        mask: bool,
        lengths: bool,
        add_special_tokens: bool,
        pad_left: bool,
        refuse_long: bool,
        null_as_empty: bool,
        threads: usize,
    ) -> PyResult<rows::Arrays<'py>> {
        let (batch, nulls) = (Batch::new(texts)?, Nulls::new(null_as_empty));
        let options = RowOptions { width, pad: pad_id, add_special_tokens, pad_left };
        let (py, engine) = (texts.py(), &self.engine);
        let fill = rows::Fill { py, engine, batch, nulls, options, refuse_long, mask, lengths, threads };
        import_numpy(py)?;
        guarded(|| match out {
            Some(out) => fill.into_out(out),
            None => fill.into_new(dtype),
        })
    }

    #[pyo3(signature = (text, max_length, length, pad_id, add_special_tokens, pad_left))]
    fn row<'py>(
        &self,
        text: &Bound<'py, PyAny>,
        max_length: Option<u16>,
        length: u16,
        pad_id: u32,
        add_special_tokens: bool,
        pad_left: bool,
    ) -> PyResult<rows::Row<'py>> {
        import_numpy(text.py())?;
        let options = RowOptions { width: length.into(), pad: pad_id, add_special_tokens, pad_left };
        guarded(|| rows::one(&self.engine, text, max_length.map(usize::from), options))
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
        let (batch, nulls) = (Batch::new(texts)?, Nulls::new(null_as_empty));
        let pack = &Pack { batch, nulls, max_length, add_special_tokens, threads };
        import_numpy(texts.py())?;
        guarded(|| match dtype {
            "int64" => self.pack_as::<i64>(texts.py(), pack),
            "int32" => self.pack_as::<i32>(texts.py(), pack),
            "uint16" => self.pack_as::<u16>(texts.py(), pack),
            _ => Err(PyValueError::new_err(format!("dtype is {dtype:?}; expected 'uint16', 'int32' or 'int64'"))),
        })
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
        import_numpy(py)?;
        let texts = &batch.texts(py, Nulls::new(null_as_empty))?[..];
        let mut counts = zeros(texts.len())?;
        guarded(|| stoppable(py, || py.detach(|| self.engine.count(texts, &mut counts, threads))))?;
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
        let py = ids.py();
        let mut found: Vec<u32> = Vec::new();
        for id in ids.try_iter()? {
            found.push(in_range(id?)?);
            if found.len().is_multiple_of(LONG) {
                py.check_signals()?;
            }
        }
        let decode = || self.engine.decode(&found, skip_special_tokens).map_err(|error| value_error(&error));
        let text = guarded(|| if found.len() < LONG { decode() } else { stoppable(py, decode)? })?;
        Ok(text.replace("</w>", " "))
    }

    fn needs_cleaning(&self, text: &Bound<'_, PyAny>) -> PyResult<bool> {
        let text = utf8(text.as_borrowed(), || "text".to_owned())?;
        guarded(|| Ok(self.engine.needs_cleaning(text)))
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
    fn instructions(&self) -> &'static str {
        self.engine.instructions()
    }

    #[getter]
    fn vocabulary_size(&self) -> usize {
        self.engine.vocabulary().len()
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
    fn pack_as<'py, T: Id + Element>(&self, py: Python<'py>, pack: &Pack<'py>) -> PyResult<Packed<'py>> {
        // An overestimate: memory that is not written to costs nothing.
        const BYTES_PER_ID: usize = 3;
        let texts = &pack.batch.texts(py, pack.nulls)?[..];
        let Pack { max_length, add_special_tokens, threads, .. } = *pack;
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let mut ids = GrowingArray::<T>::new(bytes / BYTES_PER_ID + 2 * texts.len())?;
        let offsets = stoppable(py, || {
            py.detach(|| self.engine.pack::<T, _>(texts, max_length, add_special_tokens, threads, &mut ids))
        })?
        .map_err(|error| value_error(&error))?;
        let offsets = offsets.into_iter().map(|offset| offset as i64);
        Ok((ids.into_array(py)?.into_any(), PyArray1::from_iter(py, offsets)))
    }
}
