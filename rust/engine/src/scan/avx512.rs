//! The scan's blocks with AVX-512: all 64 bytes at once, masks without detours, and places by compression.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // the loads are the unaligned ones

use super::{BLOCK, ByteSet, Masks, Scan, Stop};
use crate::added::Marks;
use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _bzhi_u64, _mm_loadu_si128, _mm512_add_epi16, _mm512_and_si512, _mm512_broadcast_i32x4,
    _mm512_castsi512_si256, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_cvtepu8_epi16,
    _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_mask_add_epi8, _mm512_mask_loadu_epi8,
    _mm512_maskz_compress_epi8, _mm512_movepi8_mask, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_shuffle_epi8,
    _mm512_srli_epi16, _mm512_storeu_si512, _mm512_sub_epi8, _mm512_test_epi8_mask,
};

/// Whether this machine has what the others need: since Intel's Ice Lake and AMD's Zen 4.
pub(super) fn is_available() -> bool {
    super::avx2::is_available()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi2")
}

/// [`Scan::append`] with AVX-512. This and the other are only for [`super::Instructions::Avx512`], which
/// `Instructions::available` gives where the machine has it.
#[inline]
pub(super) fn append(scan: &mut Scan, text: &[u8], marks: &Marks) -> Stop {
    // SAFETY: this machine has AVX-512, as said above.
    unsafe { append_detected(scan, text, marks) }
}

/// [`super::Instructions::run`] with AVX-512.
#[inline(always)]
pub(super) fn run<R>(task: impl FnOnce() -> R) -> R {
    // SAFETY: this machine has AVX-512, as said above.
    unsafe { run_detected(task) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn run_detected<R>(task: impl FnOnce() -> R) -> R {
    task()
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn append_detected(scan: &mut Scan, text: &[u8], marks: &Marks) -> Stop {
    let set = load_set(&marks.first);
    let classify = |input: &[u8], lower: &mut [u8; BLOCK]| classify(input, lower, set);
    scan.append_with(text, marks, classify, |bits, offset, places| list_places(bits, offset, places))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn classify(input: &[u8], lower: &mut [u8; BLOCK], set: __m512i) -> Masks {
    let byte = |b: u8| _mm512_set1_epi8(b as i8);
    // `first` to `first + length - 1`: what wraps around below becomes large.
    let in_range = |lanes: __m512i, first: u8, length: u8| {
        _mm512_cmple_epu8_mask(_mm512_sub_epi8(lanes, byte(first)), byte(length - 1))
    };
    let present = _bzhi_u64(u64::MAX, input.len() as u32);
    // SAFETY: only bytes of the input are read, those that are present.
    let bytes = unsafe { _mm512_mask_loadu_epi8(byte(b' '), present, input.as_ptr().cast()) };
    let folded = _mm512_mask_add_epi8(bytes, in_range(bytes, b'A', 26), bytes, byte(0x20));
    // SAFETY: a block has the 64 bytes that are written.
    unsafe { _mm512_storeu_si512(lower.as_mut_ptr().cast(), folded) };
    // The set's entry of a byte's low nibble has the bit of its high one. Bytes over 127 find no bit.
    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), byte(0x0F));
    let in_set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(set, bytes), _mm512_shuffle_epi8(bits(), high));
    Masks {
        letters: in_range(folded, b'a', 26),
        digits: in_range(bytes, b'0', 10),
        spaces: in_range(bytes, b'\t', 5) | _mm512_cmpeq_epi8_mask(bytes, byte(b' ')),
        apostrophes: _mm512_cmpeq_epi8_mask(bytes, byte(b'\'')),
        stops: _mm512_movepi8_mask(bytes) | in_set,
    }
}

/// [`super::list_places`]: a block's places, compressed to those of the bits, 32 of them at once.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn list_places(bits: u64, offset: u16, places: &mut [u16; BLOCK]) {
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
        // SAFETY: 32 of the 64 places are written, from `32 * half`, and `half` is 0 or 1.
        unsafe { _mm512_storeu_si512(places.as_mut_ptr().add(32 * half).cast(), lanes) };
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

/// The bit of each high nibble, and none for those of bytes beyond ASCII.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
fn bits() -> __m512i {
    static BITS: ByteSet = ByteSet([1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0]);
    load_set(&BITS)
}
