//! Reading ahead: texts that lie anywhere in memory are asked for some texts before they are scanned.
//!
//! Scanning a short text takes less time than memory takes to answer, and a processor does not look as far ahead as the
//! next text. The strings of a shuffled list lie in no order that it could guess.

/// How many texts ahead: a short one takes some 70 ns, memory some 100 to 200.
const AHEAD: usize = 6;
const CACHE_LINE: usize = 64;

/// The texts with their numbers, each prefetched some texts before it is yielded.
#[inline(always)]
pub(crate) fn read_ahead<S: AsRef<str>>(texts: &[S]) -> impl Iterator<Item = (usize, &S)> {
    texts.iter().take(AHEAD).for_each(|text| prefetch_text(text.as_ref()));
    texts.iter().enumerate().inspect(
        #[inline(always)]
        move |(number, _)| {
            if let Some(later) = texts.get(number + AHEAD) {
                prefetch_text(later.as_ref());
            }
        },
    )
}

/// Prefetches the first lines of a text, after which the processor sees by itself where it goes on. Without a branch on
/// the length, which nobody could predict.
#[inline(always)]
fn prefetch_text(text: &str) {
    for line in 0..3 {
        prefetch(text.as_ptr().wrapping_add(text.len().min(line * CACHE_LINE)));
    }
}

/// Tells the processor that the cache line of this address will be read soon. Does nothing where Rust has no stable
/// instruction for it. The address need not be valid.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64. A prefetch of any address is a hint, which gives no value and never faults.
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_in_order_however_few_they_are() {
        for count in 0..3 * AHEAD {
            let texts: Vec<String> = (0..count).map(|n| "x".repeat(n * n * 7)).collect();
            assert!(
                read_ahead(&texts).map(|(number, text)| (number, text.len())).eq((0..count).map(|n| (n, n * n * 7)))
            );
        }
    }

    #[test]
    fn any_address_may_be_prefetched() {
        for address in [0, 1, 0xFFF, usize::MAX / 2, usize::MAX] {
            prefetch(std::ptr::without_provenance(address));
        }
    }
}
