//! Vectors of 16 bytes on x86-64: SSE2, SSSE3 and what else every processor since 2009 has.
#![allow(unsafe_code)]

use super::vector128::Vector;
use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_min_epu8,
    _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_shuffle_epi8, _mm_srli_epi16,
    _mm_storeu_si128, _mm_sub_epi8,
};

#[derive(Clone, Copy)]
pub(super) struct Sse(__m128i);

// SAFETY of all of these: SSE2 is part of x86-64, and `Vector` is only used where the machine has SSSE3. Sixteen bytes are
// read and written.
#[allow(clippy::undocumented_unsafe_blocks)]
#[allow(unused_unsafe)] // some of these are safe in newer versions of Rust
impl Vector for Sse {
    #[inline(always)]
    fn load(bytes: &[u8; 16]) -> Self {
        Self(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
    }
    #[inline(always)]
    fn store(self, bytes: &mut [u8; 16]) {
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), self.0) }
    }
    #[inline(always)]
    fn splat(byte: u8) -> Self {
        Self(unsafe { _mm_set1_epi8(byte as i8) })
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(unsafe { _mm_and_si128(self.0, other.0) })
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(unsafe { _mm_or_si128(self.0, other.0) })
    }
    #[inline(always)]
    fn without(self, other: Self) -> Self {
        Self(unsafe { _mm_andnot_si128(other.0, self.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm_sub_epi8(self.0, other.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm_min_epu8(self.0, other.0) })
    }
    #[inline(always)]
    fn equal(self, other: Self) -> Self {
        Self(unsafe { _mm_cmpeq_epi8(self.0, other.0) })
    }
    #[inline(always)]
    fn positive(self) -> Self {
        Self(unsafe { _mm_cmpgt_epi8(self.0, _mm_setzero_si128()) })
    }
    #[inline(always)]
    fn high_nibbles(self) -> Self {
        Self(unsafe { _mm_and_si128(_mm_srli_epi16::<4>(self.0), _mm_set1_epi8(0x0F)) })
    }
    #[inline(always)]
    fn select(self, low_nibbles: Self) -> Self {
        Self(unsafe { _mm_shuffle_epi8(self.0, low_nibbles.0) })
    }
    #[inline(always)]
    fn mask(vectors: [Self; 4]) -> u64 {
        let [a, b, c, d] = vectors.map(
            #[inline(always)]
            |vector| u64::from(unsafe { _mm_movemask_epi8(vector.0) } as u16),
        );
        a | b << 16 | c << 32 | d << 48
    }
}
