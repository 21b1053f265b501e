//! Copies with non-temporal stores, for results that are larger than the processor's caches.
//!
//! An ordinary store first reads its cache line from memory and evicts another, such as one of the word cache's.
//! Non-temporal stores do neither.
#![allow(unsafe_code)]

/// Results of at least this many bytes are written with non-temporal stores: they would not stay in a cache anyway.
pub(crate) const LARGE: usize = 16 << 20;

/// Integers, which are copied as bytes.
pub(crate) trait Pod: Copy {}

impl Pod for u16 {}
impl Pod for u32 {}
impl Pod for i32 {}
impl Pod for i64 {}

/// `to.copy_from_slice(from)`, with non-temporal stores on x86-64.
///
/// # Panics
///
/// When the lengths differ.
pub(crate) fn copy<T: Pod>(to: &mut [T], from: &[T]) {
    assert_eq!(to.len(), from.len(), "slices of different lengths");
    #[cfg(target_arch = "x86_64")]
    lines(to, from);
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

#[cfg(target_arch = "x86_64")]
fn lines<T: Pod>(to: &mut [T], from: &[T]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    const LINE: usize = 64;
    const LANE: usize = size_of::<__m128i>();
    let head = to.as_ptr().align_offset(LINE).min(to.len());
    let whole = (to.len() - head) * size_of::<T>() / LINE * LINE / size_of::<T>();
    let ((to_head, to), (from_head, from)) = (to.split_at_mut(head), from.split_at(head));
    let ((to, to_tail), (from, from_tail)) = (to.split_at_mut(whole), from.split_at(whole));
    to_head.copy_from_slice(from_head);
    to_tail.copy_from_slice(from_tail);
    let (to, bytes, from) = (to.as_mut_ptr().cast::<u8>(), size_of_val(from), from.as_ptr().cast::<u8>());
    for at in (0..bytes).step_by(LANE) {
        // SAFETY: both slices have `bytes` bytes, of which there are whole lanes. `to` begins with a cache line, so its
        // lanes are aligned. SSE2 is part of x86-64.
        unsafe { _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast())) };
    }
    // SAFETY: as above. Without this, another thread that is told of the copy might not see it yet.
    unsafe { _mm_sfence() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn copies_what_it_is_given(from in proptest::collection::vec(0u16.., 0..700), before in 0usize..40) {
            let mut to = vec![7; from.len() + before + 40];
            copy(&mut to[before..before + from.len()], &from);
            prop_assert_eq!(&to[before..before + from.len()], &from[..]);
            prop_assert!(to[..before].iter().chain(&to[before + from.len()..]).all(|&n| n == 7));
            let wide: Vec<i64> = from.iter().map(|&n| n.into()).collect();
            let mut to = vec![7; wide.len() + before];
            copy(&mut to[before..], &wide);
            prop_assert_eq!(&to[before..], &wide[..]);
        }
    }
}
