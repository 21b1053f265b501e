//! The ASCII scan with AVX2: a block is two vectors of 32 bytes.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // the loads and stores are the unaligned ones

use super::{Masks, Scan, ScanEnd, list_offsets_by_8};
use crate::added_tokens::TokenStarts;
use crate::byte_set::ByteSet;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_andnot_si256, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_storeu_si256, _mm256_sub_epi8,
};

const HALF: usize = 32;

/// The classes of half a block, as [`Masks`].
#[derive(Clone, Copy)]
struct Half {
    letters: u32,
    digits: u32,
    spaces: u32,
    apostrophes: u32,
    stops: u32,
}

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
    let classify = |text: &[u8], at: usize, lower: &mut [u8]| {
        let [first, second] = [at, at + HALF].map(|at| classify_half(text, at, lower, set));
        let join = |first: u32, second: u32| u64::from(first) | u64::from(second) << 32;
        Masks {
            letters: join(first.letters, second.letters),
            digits: join(first.digits, second.digits),
            spaces: join(first.spaces, second.spaces),
            apostrophes: join(first.apostrophes, second.apostrophes),
            stops: join(first.stops, second.stops),
        }
    };
    scan.append_with(text, token_starts, classify, list_offsets_by_8)
}

/// Classifies the bytes from `at` on. The last ones of a text are read together with some before them, whose masks are
/// shifted out, or padded.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn classify_half(text: &[u8], at: usize, lower: &mut [u8], set: __m256i) -> Half {
    let missing = Half { letters: 0, digits: 0, spaces: u32::MAX, apostrophes: 0, stops: 0 };
    if at >= text.len() {
        return missing;
    }
    let from = if text.len() - at >= HALF { at } else { text.len().saturating_sub(HALF) };
    let Some(lower) = lower[from..].first_chunk_mut() else { return missing };
    let Some(whole) = text[from..].first_chunk() else {
        let mut padded = [b' '; HALF];
        padded[..text.len()].copy_from_slice(text);
        return classify(&padded, lower, set);
    };
    let Half { letters, digits, spaces, apostrophes, stops } = classify(whole, lower, set);
    let skip = at - from;
    Half {
        letters: letters >> skip,
        digits: digits >> skip,
        spaces: !(!spaces >> skip),
        apostrophes: apostrophes >> skip,
        stops: stops >> skip,
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn classify(input: &[u8; HALF], lower: &mut [u8; HALF], set: __m256i) -> Half {
    let byte = |b: u8| _mm256_set1_epi8(b as i8);
    let mask = |lanes: __m256i| _mm256_movemask_epi8(lanes) as u32;
    // SAFETY: 32 bytes are read.
    let bytes = unsafe { _mm256_loadu_si256(input.as_ptr().cast()) };
    // With bit 5 set, only letters are in the range of lower-case letters. Others wrap around and become large.
    let from_a = _mm256_sub_epi8(_mm256_or_si256(bytes, byte(0x20)), byte(b'a'));
    let letters = _mm256_cmpeq_epi8(_mm256_min_epu8(from_a, byte(25)), from_a);
    // Digits and white space: a table has at each low nibble the one byte of the class with that nibble, or a byte that
    // has another. Bytes over 127 find zero.
    #[rustfmt::skip]
    let digit_table = _mm256_setr_epi8(
        0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0, 0, 0, 0, 0, 0,
        0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0, 0, 0, 0, 0, 0,
    );
    #[rustfmt::skip]
    let space_table = _mm256_setr_epi8(
        0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0, 0,
        0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0, 0,
    );
    let digits = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(digit_table, bytes), bytes);
    let spaces = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(space_table, bytes), bytes);
    let folded = _mm256_or_si256(bytes, _mm256_and_si256(letters, byte(0x20)));
    // SAFETY: 32 bytes are written.
    unsafe { _mm256_storeu_si256(lower.as_mut_ptr().cast(), _mm256_andnot_si256(spaces, folded)) };
    // NUL and bytes over 127 are not positive.
    let positive = _mm256_cmpgt_epi8(bytes, _mm256_setzero_si256());
    Half {
        letters: mask(letters),
        digits: mask(digits),
        spaces: mask(spaces),
        apostrophes: mask(_mm256_cmpeq_epi8(bytes, byte(b'\''))),
        stops: !mask(_mm256_and_si256(positive, not_in(bytes, set))),
    }
}

/// [`super::is_ascii_without`] with AVX2.
pub(super) fn is_ascii_without(text: &[u8], set: &ByteSet) -> bool {
    // SAFETY: this machine has AVX2, as said above.
    unsafe { is_ascii_without_detected(text, set) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn is_ascii_without_detected(text: &[u8], set: &ByteSet) -> bool {
    let (blocks, rest) = text.as_chunks::<HALF>();
    let lanes = load_set(set);
    blocks.iter().all(|block| {
        // SAFETY: 32 bytes are read.
        let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().cast::<__m256i>()) };
        let outside = _mm256_movemask_epi8(bytes) | !_mm256_movemask_epi8(not_in(bytes, lanes));
        outside == 0
    }) && rest.iter().all(|&byte| byte.is_ascii() && !set.contains(byte))
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn load_set(set: &ByteSet) -> __m256i {
    // SAFETY: a set has the 16 bytes that are read.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128((&raw const set.0).cast::<__m128i>()) })
}

/// All ones in each byte that is not in the set. A byte's low nibble selects an entry of the set, its high nibble a bit of
/// the entry; for bytes over 127 both shuffles give 0, so they are in no set.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn not_in(bytes: __m256i, set: __m256i) -> __m256i {
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0F));
    #[rustfmt::skip]
    let bits = _mm256_setr_epi8(
        1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
    );
    let found = _mm256_and_si256(_mm256_shuffle_epi8(set, bytes), _mm256_shuffle_epi8(bits, high));
    _mm256_cmpeq_epi8(found, _mm256_setzero_si256())
}
