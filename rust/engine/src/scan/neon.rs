//! Vectors of 16 bytes on 64-bit ARM, all of which has NEON.
#![allow(unsafe_code)]

use super::vector128::Vector;
use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vbicq_u8, vceqq_u8, vcgtzq_s8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vminq_u8, vorrq_u8,
    vpaddq_u8, vqtbl1q_u8, vreinterpretq_s8_u8, vreinterpretq_u64_u8, vshrq_n_u8, vst1q_u8, vsubq_u8,
};

#[derive(Clone, Copy)]
pub(super) struct Neon(uint8x16_t);

// SAFETY of all of these: NEON is part of 64-bit ARM. Sixteen bytes are read and written.
#[allow(clippy::undocumented_unsafe_blocks)]
#[allow(unused_unsafe)] // most of these are safe in newer versions of Rust
impl Vector for Neon {
    #[inline(always)]
    fn load(bytes: &[u8; 16]) -> Self {
        Self(unsafe { vld1q_u8(bytes.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, bytes: &mut [u8; 16]) {
        unsafe { vst1q_u8(bytes.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn splat(byte: u8) -> Self {
        Self(unsafe { vdupq_n_u8(byte) })
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(unsafe { vandq_u8(self.0, other.0) })
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(unsafe { vorrq_u8(self.0, other.0) })
    }
    #[inline(always)]
    fn without(self, other: Self) -> Self {
        Self(unsafe { vbicq_u8(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { vsubq_u8(self.0, other.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { vminq_u8(self.0, other.0) })
    }
    #[inline(always)]
    fn equal(self, other: Self) -> Self {
        Self(unsafe { vceqq_u8(self.0, other.0) })
    }
    #[inline(always)]
    fn positive(self) -> Self {
        Self(unsafe { vcgtzq_s8(vreinterpretq_s8_u8(self.0)) })
    }
    #[inline(always)]
    fn high_nibbles(self) -> Self {
        Self(unsafe { vshrq_n_u8::<4>(self.0) })
    }
    #[inline(always)]
    fn select(self, low_nibbles: Self) -> Self {
        Self(unsafe { vqtbl1q_u8(self.0, vandq_u8(low_nibbles.0, vdupq_n_u8(0x0F))) })
    }
    #[inline(always)]
    fn mask(vectors: [Self; 4]) -> u64 {
        // Each byte keeps the bit of its place among eight; three pairwise sums put eight bits together.
        let bits = Self::load(&[1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128]);
        let [a, b, c, d] = vectors.map(
            #[inline(always)]
            |vector| vector.and(bits).0,
        );
        unsafe {
            let sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
        }
    }
}
