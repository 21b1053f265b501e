//! The engine for Python: arguments in, buffers out. `python/cliptok/_engine.pyi` describes the surface.

mod arrow;
mod arrow_check;
mod arrow_column;
mod boundary;
mod cleaning;
mod compact_rows;
mod engine;
mod errors;
mod memory;
mod nulls;
mod prefix_plan;
mod rows;
mod texts;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _engine {
    use super::pyfunction;

    #[pyfunction]
    fn available_instructions() -> Vec<&'static str> {
        cliptok::Engine::available_instructions()
    }

    #[pymodule_export]
    use crate::cleaning::{clean, fix_text};
    #[pymodule_export]
    use crate::compact_rows::{compact_rows, spread_rows};
    #[pymodule_export]
    use crate::engine::PyEngine;

    #[pymodule_export]
    use crate::prefix_plan::PyWindow;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
