//! The engine for Python: arguments in, buffers out. `python/cliptok/_engine.pyi` describes the surface.

mod arrow;
mod engine;
mod memory;
mod texts;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _engine {
    use crate::memory;
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::engine::PyEngine;

    #[pyfunction]
    fn empty_rows<'py>(py: Python<'py>, rows: usize, width: usize, dtype: &str) -> PyResult<Bound<'py, PyAny>> {
        match dtype {
            "int64" => Ok(memory::empty::<i64, _>(py, [rows, width])?.into_any()),
            "int32" => Ok(memory::empty::<i32, _>(py, [rows, width])?.into_any()),
            "uint16" => Ok(memory::empty::<u16, _>(py, [rows, width])?.into_any()),
            _ => Err(PyValueError::new_err(format!("dtype is {dtype:?}; expected 'uint16', 'int32' or 'int64'"))),
        }
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
