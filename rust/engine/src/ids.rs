//! The integer types that ids are written as.

use crate::nontemporal::Pod;

/// An integer type of the ids in an output: `u16`, `u32`, `i32` or `i64`.
#[allow(private_bounds)] // sealed: rows are copied as bytes
pub trait Id: Pod + Send + Sync + 'static {
    /// The largest id that it holds.
    const MAX: u32;
    /// The id as this type. An engine whose ids exceed [`Id::MAX`] is refused before encoding begins.
    fn from_id(id: u32) -> Self;
}

macro_rules! id {
    ($type:ty, $max:expr) => {
        impl Id for $type {
            const MAX: u32 = $max;

            #[inline]
            #[allow(clippy::cast_lossless)]
            fn from_id(id: u32) -> Self {
                id as Self // checked against `MAX` before
            }
        }
    };
}

id!(u16, u16::MAX as u32);
id!(u32, u32::MAX);
id!(i32, i32::MAX as u32);
id!(i64, u32::MAX);
