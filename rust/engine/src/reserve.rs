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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_or_the_call_unwinds() {
        let mut items = vec![1_u64];
        reserve(&mut items, 1000);
        assert!(items.capacity() >= 1001);
        let payloads = [
            std::panic::catch_unwind(|| reserve(&mut Vec::<u64>::new(), usize::MAX / 16)),
            std::panic::catch_unwind(|| require(isize::MAX as usize)),
        ];
        assert!(payloads.into_iter().all(|payload| payload.unwrap_err().is::<OutOfMemory>()));
        require(1000);
    }

    #[test]
    fn texts_are_large_from_a_mebibyte_on() {
        assert_eq!([(1 << 20) - 1, 1 << 20, 1 << 21].map(|length| is_large(&"x".repeat(length))), [false, true, true]);
    }
}
