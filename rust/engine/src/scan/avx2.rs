//! The ASCII scan with AVX2: a block is two vectors of 32 bytes.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // the loads and stores are the unaligned ones

use super::{BLOCK, Masks, Scan, ScanEnd, list_offsets, padded};
use crate::added_tokens::TokenStarts;
use crate::byte_set::ByteSet;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_sub_epi8,
};

/// [`Scan::append`] with AVX2. This and [`is_ascii_without`] are only called for `Instructions::Avx2` and better, which
/// exist only where the machine has them.
#[inline]
pub(super) fn append(scan: &mut Scan, text: &[u8], token_starts: &TokenStarts) -> ScanEnd {
    // SAFETY: this machine has AVX2, as said above.
    unsafe { append_detected(scan, text, token_starts) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn append_detected(scan: &mut Scan, text: &[u8], token_starts: &TokenStarts) -> ScanEnd {
    let set = load_set(&token_starts.first);
    let classify = |input: &[u8], lower: &mut [u8; BLOCK]| {
        let padding;
        let input = if let Some(whole) = input.first_chunk() {
            whole
        } else {
            padding = padded(input);
            &padding
        };
        let [first, second] = [0, 32].map(|half| {
            // SAFETY: a block has 64 bytes, of which 32 are read from 0 or from 32.
            let bytes = unsafe { _mm256_loadu_si256(input.as_ptr().add(half).cast::<__m256i>()) };
            let (folded, found) = classify(bytes, set);
            // SAFETY: the same 32 of 64 bytes are written.
            unsafe { _mm256_storeu_si256(lower.as_mut_ptr().add(half).cast::<__m256i>(), folded) };
            found
        });
        let join = |i: usize| u64::from(first[i]) | u64::from(second[i]) << 32;
        Masks { letters: join(0), digits: join(1), spaces: join(2), apostrophes: join(3), stops: join(4) }
    };
    scan.append_with(text, token_starts, classify, list_offsets)
}

/// The bytes in lower case, and the masks of letters, digits, white space, apostrophes and stops.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn classify(bytes: __m256i, set: __m256i) -> (__m256i, [u32; 5]) {
    let byte = |b: u8| _mm256_set1_epi8(b as i8);
    let mask = |lanes: __m256i| _mm256_movemask_epi8(lanes) as u32;
    // Whether a byte is in `first..first + length`: smaller ones wrap around and become large.
    let in_range = |lanes: __m256i, first: u8, length: u8| {
        let from = _mm256_sub_epi8(lanes, byte(first));
        _mm256_cmpeq_epi8(_mm256_min_epu8(from, byte(length - 1)), from)
    };
    let upper = in_range(bytes, b'A', 26);
    let folded = _mm256_or_si256(bytes, _mm256_and_si256(upper, byte(0x20)));
    let letters = mask(in_range(folded, b'a', 26));
    let digits = mask(in_range(bytes, b'0', 10));
    let spaces = mask(_mm256_or_si256(in_range(bytes, b'\t', 5), _mm256_cmpeq_epi8(bytes, byte(b' '))));
    let apostrophes = mask(_mm256_cmpeq_epi8(bytes, byte(b'\'')));
    (folded, [letters, digits, spaces, apostrophes, outside_ascii_or_in(bytes, set)])
}

/// [`super::is_ascii_without`] with AVX2.
pub(super) fn is_ascii_without(text: &[u8], set: &ByteSet) -> bool {
    // SAFETY: this machine has AVX2, as said above.
    unsafe { is_ascii_without_detected(text, set) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn is_ascii_without_detected(text: &[u8], set: &ByteSet) -> bool {
    let (blocks, rest) = text.as_chunks::<32>();
    let lanes = load_set(set);
    blocks.iter().all(|block| {
        // SAFETY: a block has the 32 bytes that are read.
        let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()) };
        outside_ascii_or_in(bytes, lanes) == 0
    }) && rest.iter().all(|&byte| byte.is_ascii() && !set.contains(byte))
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn load_set(set: &ByteSet) -> __m256i {
    // SAFETY: a set has the 16 bytes that are read.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128((&raw const set.0).cast::<__m128i>()) })
}

/// A mask of the bytes that are not ASCII or are in the set. A byte's low nibble selects an entry of the set, its high
/// nibble a bit of the entry; for bytes over 127 both shuffles give 0.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn outside_ascii_or_in(bytes: __m256i, set: __m256i) -> u32 {
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0F));
    #[rustfmt::skip]
    let bits = _mm256_setr_epi8(
        1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
    );
    let found = _mm256_and_si256(_mm256_shuffle_epi8(set, bytes), _mm256_shuffle_epi8(bits, high));
    let outside = _mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_setzero_si256()));
    (_mm256_movemask_epi8(bytes) | !outside) as u32
}
