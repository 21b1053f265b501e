//! The ASCII scan with vectors of 16 bytes, for SSE and NEON alike, in steps of four.

use super::{BLOCK, Masks, StepTask, Steps, list_offsets};
use crate::byte_set::ByteSet;

const WIDTH: usize = 16;

/// Sixteen bytes. All operations are inlined into code that is compiled for the instructions they need, and that runs only
/// where the machine has these.
pub(super) trait Vector: Copy {
    fn load(bytes: &[u8; WIDTH]) -> Self;
    fn store(self, bytes: &mut [u8; WIDTH]);
    fn splat(byte: u8) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// `self & !other`
    fn without(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    /// All bits of each byte that is equal.
    fn equal(self, other: Self) -> Self;
    /// All bits of each byte from 1 to 127.
    fn positive(self) -> Self;
    /// The four high bits of each byte, shifted down.
    fn high_nibbles(self) -> Self;
    /// The byte of `self` that each byte's low nibble selects. Whatever it likes for bytes over 127.
    fn select(self, low_nibbles: Self) -> Self;
    /// One bit per byte of the four vectors, in order, given bytes with all bits or none.
    fn mask(vectors: [Self; 4]) -> u64;
}

/// Runs a scan with vectors of 16 bytes.
#[inline(always)]
pub(super) fn run<V: Vector, T: StepTask>(stops: &ByteSet, task: T) -> T::Output {
    task.run(&Steps128 { set: V::load(&stops.0) })
}

struct Steps128<V> {
    /// The bytes to stop at, see [`ByteSet`].
    set: V,
}

impl<V: Vector> Steps<BLOCK> for Steps128<V> {
    #[inline(always)]
    fn classify(&self, input: &[u8; BLOCK], lower: &mut [u8; BLOCK]) -> Masks {
        let (input, _) = input.as_chunks();
        let bytes = [V::load(&input[0]), V::load(&input[1]), V::load(&input[2]), V::load(&input[3])];
        // With bit 5 set, only letters are in the range of lower-case letters. Others wrap around and become large.
        let from_a = bytes.map(|bytes| bytes.or(V::splat(0x20)).sub(V::splat(b'a')));
        let letters = from_a.map(|from_a| from_a.min(V::splat(25)).equal(from_a));
        // A table has at each low nibble the one byte of the class with that nibble, or a byte that has another.
        let digit_table = V::load(b"0123456789\0\0\0\0\0\0");
        let space_table = V::load(b" \0\0\0\0\0\0\0\0\t\n\x0B\x0C\r\0\0");
        let digits = bytes.map(|bytes| digit_table.select(bytes).equal(bytes));
        let spaces = bytes.map(|bytes| space_table.select(bytes).equal(bytes));
        for (i, lower) in lower.as_chunks_mut().0.iter_mut().enumerate() {
            let folded = bytes[i].or(letters[i].and(V::splat(0x20)));
            folded.without(spaces[i]).store(lower);
        }
        // NUL and bytes over 127 are not positive.
        let go_on = bytes.map(|bytes| bytes.positive().and(not_in(bytes, self.set)));
        Masks { letters: V::mask(letters), digits: V::mask(digits), spaces: V::mask(spaces), stops: !V::mask(go_on) }
    }

    #[inline(always)]
    fn list<const FIRST: usize>(&self, bits: u64, offset: u16, offsets: &mut [u16; BLOCK]) {
        list_offsets::<FIRST>(bits, offset, offsets);
    }
}

/// [`super::is_ascii_without`] with vectors of 16 bytes.
#[inline(always)]
pub(super) fn is_ascii_without<V: Vector>(text: &[u8], set: &ByteSet) -> bool {
    let (blocks, rest) = text.as_chunks();
    let lanes = V::load(&set.0);
    let all = |block: &[u8; BLOCK]| {
        let (block, _) = block.as_chunks();
        let outside = |i: usize| {
            let bytes = V::load(&block[i]);
            // Bytes over 127 are not positive; NUL may be.
            bytes.positive().or(bytes.equal(V::splat(0))).and(not_in(bytes, lanes))
        };
        V::mask([outside(0), outside(1), outside(2), outside(3)]) == u64::MAX
    };
    blocks.iter().all(all) && rest.iter().all(|&byte| byte.is_ascii() && !set.contains(byte))
}

/// All bits of each byte that is not in the set, as bytes over 127 never are.
#[inline(always)]
fn not_in<V: Vector>(bytes: V, set: V) -> V {
    let bits = V::load(&[1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0]);
    set.select(bytes).and(bits.select(bytes.high_nibbles())).equal(V::splat(0))
}
