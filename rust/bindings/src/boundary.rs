//! The boundary between Python and the engine: panics become exceptions, and Ctrl-C stops long work.

use cliptok::{Interrupt, Interrupted, OutOfMemory, interruptible};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// Calls `work`, and raises `RuntimeError` where it panics: `PanicException` is no `Exception`, so nobody catches it.
pub(crate) fn guarded<R>(work: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        if panic.is::<OutOfMemory>() {
            return Err(PyMemoryError::new_err("there is not enough memory for a text or a batch of this size"));
        }
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        Err(PyRuntimeError::new_err(format!("internal error of cliptok, please report it: {message}")))
    })
}

/// The items of a sequence or another iterable. Its `__len__` is not asked: room for what it says may not be there.
pub(crate) fn items<'py, T: FromPyObjectOwned<'py>>(values: &Bound<'py, PyAny>) -> PyResult<Vec<T>> {
    values.try_iter()?.map(|value| value?.extract().map_err(Into::into)).collect()
}

/// Does work of the engine that signals may stop, on the main thread, which is the one that Python tells of them.
///
/// # Errors
///
/// The exception that the handler of a signal raised, such as `KeyboardInterrupt`.
pub(crate) fn stoppable<R>(py: Python<'_>, work: impl FnOnce() -> R) -> PyResult<R> {
    if IS_MAIN_THREAD.get() == Some(false) {
        return Ok(work());
    }
    let signals = Arc::new(Signals {
        thread: std::thread::current().id(),
        last: Mutex::new(Instant::now()),
        raised: AtomicBool::new(false),
        exception: Mutex::new(None),
    });
    let result = interruptible(signals.clone(), work);
    let exception = signals.exception.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (result, exception) {
        (_, Some(exception)) => Err(exception),
        (Ok(result), None) => py.check_signals().map(|()| result),
        (Err(Interrupted), None) => Err(PyRuntimeError::new_err("interrupted")),
    }
}

/// Imports `NumPy`, whose C functions are looked up at their first use by code that cannot raise. Signals wait meanwhile:
/// `NumPy` takes an interrupt for a broken installation, and cannot be imported again.
pub(crate) fn import_numpy(py: Python<'_>) -> PyResult<()> {
    static IMPORTED: PyOnceLock<()> = PyOnceLock::new();
    let import = || {
        if py.import("sys")?.getattr("modules")?.contains("numpy")? {
            return py.import("numpy").map(|_| ()); // which waits for another thread's import
        }
        py.import("cliptok._common.uninterrupted")?.call_method1("import_uninterrupted", ("numpy",)).map(|_| ())
    };
    IMPORTED.get_or_try_init(py, import).copied()
}

thread_local! {
    /// Whether this is the thread that Python tells of signals, once it has been asked. A thread keeps what it once was.
    static IS_MAIN_THREAD: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether this is the thread that Python tells of signals. Imports `threading`, which takes longer than a short text.
fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    if let Some(known) = IS_MAIN_THREAD.get() {
        return Ok(known);
    }
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let is_main = main.eq(threading.call_method0("get_ident")?)?;
    IS_MAIN_THREAD.set(Some(is_main));
    Ok(is_main)
}

/// What a signal's handler has raised during a call.
struct Signals {
    /// The thread that has called.
    thread: ThreadId,
    /// When Python was last asked.
    last: Mutex<Instant>,
    raised: AtomicBool,
    exception: Mutex<Option<PyErr>>,
}

impl Interrupt for Signals {
    fn is_interrupted(&self) -> bool {
        const EVERY: Duration = Duration::from_millis(50);
        if self.raised.load(Ordering::Relaxed) {
            return true;
        }
        if std::thread::current().id() != self.thread || IS_MAIN_THREAD.get() == Some(false) {
            return false;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < EVERY {
            return false;
        }
        *last = Instant::now();
        #[allow(clippy::redundant_closure_for_method_calls)] // the method is not general enough in its lifetime
        let checked = Python::attach(|py| if is_main_thread(py)? { py.check_signals() } else { Ok(()) });
        let Err(exception) = checked else { return false };
        *self.exception.lock().unwrap_or_else(PoisonError::into_inner) = Some(exception);
        self.raised.store(true, Ordering::Relaxed);
        true
    }
}
