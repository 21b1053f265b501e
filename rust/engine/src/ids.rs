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

impl Id for u16 {
    const MAX: u32 = u16::MAX as u32;
    #[inline]
    fn from_id(id: u32) -> Self {
        id as Self
    }
}

impl Id for u32 {
    const MAX: u32 = u32::MAX;
    #[inline]
    fn from_id(id: u32) -> Self {
        id
    }
}

impl Id for i32 {
    const MAX: u32 = i32::MAX as u32;
    #[inline]
    fn from_id(id: u32) -> Self {
        id as Self
    }
}

impl Id for i64 {
    const MAX: u32 = u32::MAX;
    #[inline]
    fn from_id(id: u32) -> Self {
        id.into()
    }
}
