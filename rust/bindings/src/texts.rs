//! Python's texts as the engine's: borrowed, never copied.

use crate::arrow;
use arrow_array::{Array, ArrayRef};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use std::ops::Range;

/// Where the texts of a batch come from.
pub(crate) enum Batch<'py> {
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
    /// The chunks of an Arrow column.
    Arrow(Vec<ArrayRef>),
}

/// Some texts of a batch, side by side and kept alive, whatever other threads do to where they came from.
///
/// Taking up a Python string costs as much as a tenth of its encoding, needs the interpreter, and brings the string into
/// the cache. So a large batch is taken up a window at a time, while the window before is encoded.
pub(crate) struct Window<'py> {
    /// In truth borrowed from what `_held` keeps alive, and lent for no longer than this window lives.
    texts: Vec<&'static str>,
    _held: Held<'py>,
}

#[allow(dead_code)] // held, and dropped with the window
enum Held<'py> {
    /// What a list held, in tuples that nobody else sees; or the caller's own tuple.
    Strings(Vec<Bound<'py, PyTuple>>),
    Arrow(Vec<ArrayRef>),
}

/// What becomes of a None or a null.
#[derive(Clone, Copy)]
pub(crate) enum Nulls {
    Refuse,
    Empty,
}

/// Strings that are taken up before their UTF-8 is asked for: few enough to be in the first cache still.
const AT_ONCE: usize = 256;

impl<'py> Batch<'py> {
    pub(crate) fn new(texts: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = texts.cast::<PyList>() {
            return Ok(Self::List(list.clone()));
        }
        if let Ok(tuple) = texts.cast::<PyTuple>() {
            return Ok(Self::Tuple(tuple.clone()));
        }
        if texts.hasattr("__arrow_c_stream__")? || texts.hasattr("__arrow_c_array__")? {
            return Ok(Self::Arrow(arrow::chunks(texts)?));
        }
        let found = texts.get_type().name()?;
        Err(PyTypeError::new_err(format!("texts is {found}; expected a list or tuple of str, or an Arrow column")))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Tuple(tuple) => tuple.len(),
            Self::Arrow(chunks) => chunks.iter().map(Array::len).sum(),
        }
    }

    /// The texts of these rows.
    pub(crate) fn window(&self, rows: Range<usize>, nulls: Nulls) -> PyResult<Window<'py>> {
        let mut texts = Vec::with_capacity(rows.len());
        let held = match self {
            Self::List(list) => {
                let mut tuples = Vec::with_capacity(rows.len().div_ceil(AT_ONCE));
                for from in rows.clone().step_by(AT_ONCE) {
                    let to = rows.end.min(from + AT_ONCE);
                    let tuple = list.get_slice(from, to).to_tuple();
                    if tuple.len() < to - from {
                        let message = "texts is a list that another thread has made shorter while it was being read";
                        return Err(PyRuntimeError::new_err(message));
                    }
                    push_strings(tuple.iter_borrowed(), from, nulls, &mut texts)?;
                    tuples.push(tuple);
                }
                Held::Strings(tuples)
            }
            Self::Tuple(tuple) => {
                push_strings(tuple.iter_borrowed().skip(rows.start).take(rows.len()), rows.start, nulls, &mut texts)?;
                Held::Strings(vec![tuple.clone()])
            }
            Self::Arrow(chunks) => {
                let arrays = arrow::rows(chunks, &rows);
                texts.extend(arrow::texts(&arrays, rows.start, nulls)?.into_iter().map(unbound));
                Held::Arrow(arrays)
            }
        };
        Ok(Window { texts, _held: held })
    }
}

impl Window<'_> {
    pub(crate) fn texts(&self) -> &[&str] {
        &self.texts
    }
}

fn push_strings<'a>(
    strings: impl Iterator<Item = Borrowed<'a, 'a, PyAny>>,
    first_row: usize,
    nulls: Nulls,
    texts: &mut Vec<&'static str>,
) -> PyResult<()> {
    for (at, text) in strings.enumerate() {
        texts.push(match nulls {
            Nulls::Empty if text.is_none() => "",
            _ => unbound(utf8(text, || format!("texts[{}]", first_row + at))?),
        });
    }
    Ok(())
}

/// A text of a window, whose lifetime the window sees to.
fn unbound(text: &str) -> &'static str {
    // SAFETY: the text is in a Python string, which never changes, or in Arrow's buffers. The window that it is for
    // references these, and `Window::texts` lends it for no longer than the window lives.
    #[allow(unsafe_code)]
    unsafe {
        &*std::ptr::from_ref(text)
    }
}

/// The string's own UTF-8; `name` is called for the error.
pub(crate) fn utf8<'a>(text: Borrowed<'a, '_, PyAny>, name: impl Fn() -> String) -> PyResult<&'a str> {
    let Ok(string) = text.cast::<PyString>() else {
        let found = if text.is_none() { "None".to_owned() } else { text.get_type().name()?.to_string() };
        return Err(PyTypeError::new_err(format!("{} is {found}; expected str", name())));
    };
    let utf8 = string.to_str().map_err(|_| {
        PyValueError::new_err(format!(
            "{} holds a lone surrogate, which is no character and has no UTF-8; clean it first, for instance with \
             text.encode('utf-8', 'replace').decode()",
            name()
        ))
    })?;
    // SAFETY: the bytes belong to the string object, which never changes and is referenced for 'a.
    #[allow(unsafe_code)]
    Ok(unsafe { &*std::ptr::from_ref(utf8) })
}
