//! The ASCII scan with AVX-512, in steps of 64 bytes: comparisons give masks, and offsets are listed by `vpcompressb`.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // the loads are the unaligned ones

use super::{BLOCK, Masks, StepTask, Steps};
use crate::byte_set::ByteSet;
use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _bzhi_u64, _mm_loadu_si128, _mm512_add_epi16, _mm512_and_si512, _mm512_broadcast_i32x4,
    _mm512_castsi512_si256, _mm512_cmpeq_epi8_mask, _mm512_cmple_epi8_mask, _mm512_cmple_epu8_mask,
    _mm512_cvtepu8_epi16, _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_mask_add_epi8, _mm512_mask_loadu_epi8,
    _mm512_maskz_compress_epi8, _mm512_maskz_mov_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_sub_epi8, _mm512_test_epi8_mask,
};

/// Runs a scan with AVX-512. Only called for `Instructions::Avx512`, which exists only where the machine has it.
#[inline]
pub(super) fn run<T: StepTask>(stops: &ByteSet, task: T) -> T::Output {
    // SAFETY: this machine has AVX-512, as said above.
    unsafe { run_detected(stops, task) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn run_detected<T: StepTask>(stops: &ByteSet, task: T) -> T::Output {
    task.run(&Avx512Steps { set: load_set(stops) })
}

/// The bytes to stop at, four times. Exists only where the machine has AVX-512.
struct Avx512Steps {
    set: __m512i,
}

impl Steps<BLOCK> for Avx512Steps {
    #[inline(always)]
    fn classify(&self, input: &[u8; BLOCK], lower: &mut [u8; BLOCK]) -> Masks {
        // SAFETY: the machine has AVX-512, as said above.
        unsafe { classify(input, lower, self.set) }
    }

    #[inline(always)]
    fn classify_first(&self, text: &[u8], lower: &mut [u8; BLOCK]) -> Masks {
        // SAFETY: as above. A masked load pads what is missing.
        unsafe { classify(text, lower, self.set) }
    }

    #[inline(always)]
    fn list<const FIRST: usize>(&self, bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
        // SAFETY: as above.
        unsafe { list_offsets(bits, offset, offsets) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn classify(input: &[u8], lower: &mut [u8; BLOCK], set: __m512i) -> Masks {
    let byte = |b: u8| _mm512_set1_epi8(b as i8);
    // Whether a byte is in `first..first + length`: smaller ones wrap around and become large.
    let in_range = |lanes: __m512i, first: u8, length: u8| {
        _mm512_cmple_epu8_mask(_mm512_sub_epi8(lanes, byte(first)), byte(length - 1))
    };
    let present = _bzhi_u64(u64::MAX, input.len().min(BLOCK) as u32);
    // SAFETY: only bytes of the input are read, those that are present.
    let bytes = unsafe { _mm512_mask_loadu_epi8(byte(b' '), present, input.as_ptr().cast()) };
    let folded = _mm512_mask_add_epi8(bytes, in_range(bytes, b'A', 26), bytes, byte(0x20));
    let spaces = in_range(bytes, b'\t', 5) | _mm512_cmpeq_epi8_mask(bytes, byte(b' '));
    // SAFETY: a block has the 64 bytes that are written.
    unsafe { _mm512_storeu_si512(lower.as_mut_ptr().cast(), _mm512_maskz_mov_epi8(!spaces, folded)) };
    // A byte's low nibble selects an entry of the set, its high nibble a bit of the entry; none for bytes over 127.
    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), byte(0x0F));
    let in_set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(set, bytes), _mm512_shuffle_epi8(bits(), high));
    Masks {
        letters: in_range(folded, b'a', 26),
        digits: in_range(bytes, b'0', 10),
        spaces,
        // NUL, and bytes over 127, which are negative.
        stops: _mm512_cmple_epi8_mask(bytes, _mm512_setzero_si512()) | in_set,
    }
}

/// [`Steps::list`]: the numbers 0 to 63, compressed to the positions of the bits, widened 32 at a time.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn list_offsets(bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
    static ALL: [u8; BLOCK] = {
        let mut all = [0; BLOCK];
        let mut i = 0;
        while i < BLOCK {
            all[i] = i as u8;
            i += 1;
        }
        all
    };
    // SAFETY: the 64 bytes of the table are read.
    let all = unsafe { _mm512_loadu_si512(ALL.as_ptr().cast()) };
    let within = _mm512_maskz_compress_epi8(bits, all);
    let first = _mm512_set1_epi16(offset as i16);
    let mut write = |half: usize, within: __m256i| {
        let lanes = _mm512_add_epi16(_mm512_cvtepu8_epi16(within), first);
        // SAFETY: 32 of the 64 slots are written, from `32 * half`, and `half` is 0 or 1.
        unsafe { _mm512_storeu_si512(offsets.as_mut_ptr().add(32 * half).cast(), lanes) };
    };
    write(0, _mm512_castsi512_si256(within));
    if bits.count_ones() > 32 {
        write(1, _mm512_extracti64x4_epi64::<1>(within));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn load_set(set: &ByteSet) -> __m512i {
    // SAFETY: a set has the 16 bytes that are read.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128((&raw const set.0).cast::<__m128i>()) })
}

/// The bit of each high nibble, and 0 for the nibbles of bytes over 127.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn bits() -> __m512i {
    static BITS: ByteSet = ByteSet([1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0]);
    load_set(&BITS)
}
