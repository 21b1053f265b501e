//! Checks of the structures of the Arrow C interface that come from other libraries, before Arrow's own library reads them,
//! which panics where they break its assumptions.

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use std::ffi::{CStr, c_char, c_void};

type Release = Option<unsafe extern "C" fn(*mut c_void)>;

/// `ArrowSchema` of the C data interface.
#[repr(C)]
pub(crate) struct RawSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    child_count: i64,
    children: *mut *mut RawSchema,
    dictionary: *mut RawSchema,
    release: Release,
    private_data: *mut c_void,
}

/// `ArrowArray` of the C data interface.
#[repr(C)]
pub(crate) struct RawArray {
    length: i64,
    null_count: i64,
    offset: i64,
    buffer_count: i64,
    child_count: i64,
    buffers: *mut *const c_void,
    children: *mut *mut RawArray,
    dictionary: *mut RawArray,
    release: Release,
    private_data: *mut c_void,
}

pub(crate) const HANDED_OVER: &str = "it was handed over once already; ask its owner for another";

impl RawSchema {
    pub(crate) fn of(schema: &FFI_ArrowSchema) -> &Self {
        // SAFETY: both are the layout that the interface says.
        #[allow(unsafe_code)]
        unsafe {
            &*std::ptr::from_ref(schema).cast()
        }
    }

    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        const MAX_CHILDREN: i64 = 1 << 20;
        if self.release.is_none() {
            return Err(HANDED_OVER.to_owned());
        }
        self.format()?;
        if !(0..=MAX_CHILDREN).contains(&self.child_count) || self.child_count > 0 && self.children.is_null() {
            return Err(format!("its schema has {} children", self.child_count));
        }
        // SAFETY: the interface says that it is null or points to a schema that lives as long as this one.
        #[allow(unsafe_code)]
        if let Some(dictionary) = unsafe { self.dictionary.as_ref() } {
            let keys = self.format()?;
            if !matches!(keys, "c" | "C" | "s" | "S" | "i" | "I" | "l" | "L") {
                return Err(format!("its dictionary keys have the format {keys:?}; expected one of integers"));
            }
            if !dictionary.dictionary.is_null() {
                return Err("its dictionary has a dictionary".to_owned());
            }
            dictionary.check()?;
        }
        Ok(())
    }

    fn format(&self) -> Result<&str, String> {
        if self.format.is_null() {
            return Err("its schema has no format".to_owned());
        }
        // SAFETY: a schema's format is a C string that lives as long as the schema.
        #[allow(unsafe_code)]
        let format = unsafe { CStr::from_ptr(self.format) };
        format.to_str().map_err(|_| "its schema's format is not UTF-8".to_owned())
    }
}

impl RawArray {
    pub(crate) fn of(array: &FFI_ArrowArray) -> &Self {
        // SAFETY: both are the layout that the interface says.
        #[allow(unsafe_code)]
        unsafe {
            &*std::ptr::from_ref(array).cast()
        }
    }

    /// What is wrong with it, beside the schema of a column of strings that was checked.
    pub(crate) fn check(&self, schema: &RawSchema) -> Result<(), String> {
        if self.release.is_none() {
            return Err(HANDED_OVER.to_owned());
        }
        let rows = 0..i64::MAX >> 8; // no number of bytes overflows
        if !rows.contains(&self.length) || !rows.contains(&self.offset) {
            return Err(format!("it has {} rows from row {} on", self.length, self.offset));
        }
        let format = schema.format()?;
        let wanted = match format {
            "u" | "U" => 3..=3,              // nulls, offsets, bytes
            "vu" => 3..=i64::from(i32::MAX), // nulls, views, bytes as often as there are, and their sizes
            _ => 2..=2,                      // nulls, keys
        };
        if !wanted.contains(&self.buffer_count) || self.buffers.is_null() {
            return Err(format!("it has {} buffers for the format {format:?}", self.buffer_count));
        }
        // SAFETY: the interface says that a buffer is null or as long as the format and the array say: there is an offset
        // for each row and one more, and a size for each buffer of a view's bytes.
        #[allow(unsafe_code)]
        unsafe {
            match format {
                "u" if self.length + self.offset > 0 => self.check_numbers::<i32>(1, self.length + self.offset, 1)?,
                "U" if self.length + self.offset > 0 => self.check_numbers::<i64>(1, self.length + self.offset, 1)?,
                "vu" if self.buffer_count > 3 => {
                    self.check_numbers::<i64>(self.buffer_count - 1, 0, self.buffer_count - 3)?;
                }
                _ => {}
            }
        }
        // SAFETY: the interface says that the pointers are null or to structures that live as long as those around them.
        #[allow(unsafe_code)]
        match unsafe { (self.dictionary.as_ref(), schema.dictionary.as_ref()) } {
            (None, None) => Ok(()),
            (Some(values), Some(schema)) => values.check(schema),
            _ => Err("of its array and its schema only one has a dictionary".to_owned()),
        }
    }

    /// Checks a buffer of numbers, of which those from `first` on are the lengths of other buffers.
    ///
    /// # Safety
    ///
    /// There are as many buffers, and the buffer is null or has as many numbers.
    #[allow(unsafe_code)]
    unsafe fn check_numbers<N: Copy + Into<i64>>(&self, buffer: i64, first: i64, count: i64) -> Result<(), String> {
        // SAFETY: the caller vouches for the buffer.
        let numbers = unsafe { *self.buffers.add(buffer as usize) }.cast::<N>();
        if numbers.is_null() || !numbers.is_aligned() {
            return Err(format!("its buffer {buffer} lies at {numbers:?}"));
        }
        // SAFETY: the caller vouches for its length, and it is aligned.
        let lengths = unsafe { std::slice::from_raw_parts(numbers.add(first as usize), count as usize) };
        match lengths.iter().copied().map(Into::into).find(|&length| length < 0) {
            Some(length) => Err(format!("a buffer has {length} bytes")),
            None => Ok(()),
        }
    }
}
