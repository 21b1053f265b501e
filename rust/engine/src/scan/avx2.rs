//! The ASCII scan with AVX2, in steps of 32 bytes.
#![allow(unsafe_code)]
#![allow(clippy::cast_ptr_alignment)] // the loads and stores are the unaligned ones

use super::{BLOCK, Masks, StepTask, Steps, list_offsets};
use crate::byte_set::ByteSet;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_andnot_si256, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_storeu_si256, _mm256_sub_epi8,
};

const STEP: usize = 32;
/// The bits of a mask that stand for bytes of a step.
const LOW: u64 = u32::MAX as u64;

/// Runs a scan with AVX2. Inlined into a task that is compiled for it and runs where the machine has it.
#[inline(always)]
pub(super) fn run<T: StepTask>(stops: &ByteSet, task: T) -> T::Output {
    // SAFETY: the machine has AVX2, as said above.
    task.run(&Avx2Steps { set: unsafe { load_set(stops) } })
}

/// The bytes to stop at, twice. Exists only where the machine has AVX2.
struct Avx2Steps {
    set: __m256i,
}

impl Steps<STEP> for Avx2Steps {
    #[inline(always)]
    fn classify(&self, input: &[u8; STEP], lower: &mut [u8; STEP]) -> Masks {
        // SAFETY: the machine has AVX2, as is said where this is made.
        unsafe {
            let byte = |b: u8| _mm256_set1_epi8(b as i8);
            let mask = |lanes: __m256i| u64::from(_mm256_movemask_epi8(lanes) as u32);
            let bytes = _mm256_loadu_si256(input.as_ptr().cast()); // 32 bytes are read
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
            _mm256_storeu_si256(lower.as_mut_ptr().cast(), _mm256_andnot_si256(spaces, folded)); // 32 bytes are written
            // NUL and bytes over 127 are not positive.
            let positive = _mm256_cmpgt_epi8(bytes, _mm256_setzero_si256());
            Masks {
                letters: mask(letters),
                digits: mask(digits),
                spaces: mask(spaces),
                stops: mask(_mm256_and_si256(positive, not_in(bytes, self.set))) ^ LOW,
            }
        }
    }

    #[inline(always)]
    fn list<const FIRST: usize>(&self, bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
        list_offsets::<FIRST>(bits, offset, offsets);
    }
}

/// [`super::is_ascii_without`] with AVX2.
pub(super) fn is_ascii_without(text: &[u8], set: &ByteSet) -> bool {
    // SAFETY: this machine has AVX2, as said above.
    unsafe { is_ascii_without_detected(text, set) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn is_ascii_without_detected(text: &[u8], set: &ByteSet) -> bool {
    let (blocks, rest) = text.as_chunks::<STEP>();
    // SAFETY: this function is compiled for AVX2.
    let lanes = unsafe { load_set(set) };
    blocks.iter().all(|block| {
        // SAFETY: as above, and 32 bytes are read.
        unsafe {
            let bytes = _mm256_loadu_si256(block.as_ptr().cast::<__m256i>());
            _mm256_movemask_epi8(bytes) | !_mm256_movemask_epi8(not_in(bytes, lanes)) == 0
        }
    }) && rest.iter().all(|&byte| byte.is_ascii() && !set.contains(byte))
}

/// # Safety
///
/// The machine must have AVX2.
#[inline(always)]
unsafe fn load_set(set: &ByteSet) -> __m256i {
    // SAFETY: the machine has AVX2, as the caller promises, and a set has the 16 bytes that are read.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128((&raw const set.0).cast::<__m128i>())) }
}

/// All ones in each byte that is not in the set. A byte's low nibble selects an entry of the set, its high nibble a bit of
/// the entry; for bytes over 127 both shuffles give 0, so they are in no set.
///
/// # Safety
///
/// The machine must have AVX2.
#[inline(always)]
unsafe fn not_in(bytes: __m256i, set: __m256i) -> __m256i {
    // SAFETY: the machine has AVX2, as the caller promises.
    unsafe {
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0F));
        #[rustfmt::skip]
        let bits = _mm256_setr_epi8(
            1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
        );
        let found = _mm256_and_si256(_mm256_shuffle_epi8(set, bytes), _mm256_shuffle_epi8(bits, high));
        _mm256_cmpeq_epi8(found, _mm256_setzero_si256())
    }
}
