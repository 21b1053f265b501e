//! Memory in proportion to a text: where there is none, the call unwinds and can be told from one that went wrong.

use std::panic::resume_unwind;

/// The payload of the panic with which a call ends for which there is not enough memory. The engine stays usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Makes room for so many more.
pub(crate) fn reserve<T>(items: &mut Vec<T>, more: usize) {
    if items.try_reserve(more).is_err() {
        resume_unwind(Box::new(OutOfMemory)); // no message of a panic
    }
}

/// Makes sure that there would be room for so many bytes, for code that allocates as it goes.
pub(crate) fn require(bytes: usize) {
    reserve(&mut Vec::<u8>::new(), bytes);
}

/// A text so long that memory in proportion to it may be more than there is.
pub(crate) fn is_large(text: &str) -> bool {
    const LARGE: usize = 1 << 20;
    text.len() >= LARGE
}
