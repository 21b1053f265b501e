//! A set of ASCII bytes in 16 bytes, in the layout that vector shuffles look up.

/// A bitmap of the 128 ASCII bytes: entry `byte & 15` has bit `byte >> 4`.
///
/// Vector code finds a byte's entry by one shuffle and its bit by another, see `scan`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteSet(pub(crate) [u8; 16]);

impl ByteSet {
    /// Adds a byte; bytes over 127 are ignored.
    pub(crate) fn insert(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.0[usize::from(byte & 15)] |= 1 << (byte >> 4);
        }
    }

    /// Whether the set has the byte. False for bytes over 127.
    pub(crate) fn contains(&self, byte: u8) -> bool {
        byte.is_ascii() && self.0[usize::from(byte & 15)] >> (byte >> 4) & 1 != 0
    }
}
