//! Copies with non-temporal stores, for results that are larger than the processor's caches.
//!
//! An ordinary store first reads its cache line from memory and evicts another, such as one of the word cache's.
//! Non-temporal stores do neither.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use crate::instructions::Instructions;
use crate::instructions::Set;

/// Results of at least this many bytes are written with non-temporal stores: they would not stay in a cache anyway.
pub(crate) const LARGE: usize = 16 << 20;

/// Integers, which are copied as bytes.
pub(crate) trait Pod: Copy {}

impl Pod for u16 {}
impl Pod for u32 {}
impl Pod for i32 {}
impl Pod for i64 {}

/// `to.copy_from_slice(from)`, with non-temporal stores on x86-64: inside a task that is compiled for this set of instructions.
/// Another thread may only be told of it after [`fence`].
///
/// # Panics
///
/// When the lengths differ.
#[inline(always)]
pub(crate) fn copy<S: Set, T: Pod>(to: &mut [T], from: &[T]) {
    assert_eq!(to.len(), from.len(), "slices of different lengths");
    #[cfg(target_arch = "x86_64")]
    lines::<S, T>(to, from);
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

/// Makes what was copied visible to other threads before anything that is written from here on.
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn lines<S: Set, T: Pod>(to: &mut [T], from: &[T]) {
    // SAFETY: integers are bytes, and any bytes are integers.
    let (head, lines, tail) = unsafe { to.align_to_mut::<Line>() };
    let (from_head, from) = from.split_at(head.len());
    let (from_lines, from_tail) = from.split_at(from.len() - tail.len());
    head.copy_from_slice(from_head);
    tail.copy_from_slice(from_tail);
    // SAFETY: as above. Bytes begin anywhere, so these are as many.
    let (_, from_lines, _) = unsafe { from_lines.align_to::<[u8; size_of::<Line>()]>() };
    for (to, from) in lines.iter_mut().zip(from_lines) {
        // SAFETY: the machine has the instructions, as said above.
        unsafe { line::<S>(to, from) };
    }
}

/// A cache line.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Copies a cache line.
///
/// # Safety
///
/// The machine has the set's instructions.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(clippy::cast_ptr_alignment)] // loads are the unaligned ones, and `to` is a cache line
unsafe fn line<S: Set>(Line(to): &mut Line, from: &[u8; 64]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_stream_si128, _mm256_loadu_si256, _mm256_stream_si256, _mm512_loadu_si512,
        _mm512_stream_si512,
    };
    let (to, from) = (to.as_mut_ptr(), from.as_ptr());
    // SAFETY: both have 64 bytes, and a line is aligned. The caller vouches for the instructions.
    unsafe {
        match S::INSTRUCTIONS {
            Instructions::Avx512 => _mm512_stream_si512(to.cast(), _mm512_loadu_si512(from.cast())),
            Instructions::Avx2 => {
                for at in [0, 32] {
                    _mm256_stream_si256(to.add(at).cast(), _mm256_loadu_si256(from.add(at).cast()));
                }
            }
            Instructions::Sse | Instructions::Plain => {
                for at in [0, 16, 32, 48] {
                    _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::{Instructions, Task};
    use proptest::prelude::*;

    struct Copy<'a, T>(&'a mut [T], &'a [T]);

    impl<T: Pod> Task for Copy<'_, T> {
        type Output = ();

        #[inline(always)]
        fn run<S: Set>(self) {
            copy::<S, T>(self.0, self.1);
            fence();
        }
    }

    proptest! {
        #[test]
        fn copies_what_it_is_given(from in proptest::collection::vec(0u16.., 0..700), before in 0usize..40) {
            for instructions in Instructions::available() {
                let mut to = vec![7; from.len() + before + 40];
                instructions.run_task(Copy(&mut to[before..before + from.len()], &from));
                prop_assert_eq!(&to[before..before + from.len()], &from[..]);
                prop_assert!(to[..before].iter().chain(&to[before + from.len()..]).all(|&n| n == 7));
                let wide: Vec<i64> = from.iter().map(|&n| n.into()).collect();
                let mut to = vec![7; wide.len() + before];
                instructions.run_task(Copy(&mut to[before..], &wide));
                prop_assert_eq!(&to[before..], &wide[..]);
            }
        }
    }
}
