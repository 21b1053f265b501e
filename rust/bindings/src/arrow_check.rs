//! Checks of the structures of the Arrow C interface that come from other libraries, before Arrow's own library reads them,
//! which panics where they break its assumptions.

use arrow_array::ffi::FFI_ArrowSchema;
use std::ffi::{CStr, c_char, c_int, c_void};

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

/// `ArrowArrayStream` of the C stream interface.
#[repr(C)]
pub(crate) struct RawStream {
    get_schema: Option<unsafe extern "C" fn(*mut RawStream, *mut RawSchema) -> c_int>,
    get_next: *const c_void,
    get_last_error: *const c_void,
    release: Release,
    private_data: *mut c_void,
}

const HANDED_OVER: &str = "it was handed over once already; ask its owner for another";

impl RawSchema {
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
        if let Some(dictionary) = Self::at(self.dictionary) {
            let keys = self.format()?;
            if !matches!(keys, "c" | "C" | "s" | "S" | "i" | "I" | "l" | "L") {
                return Err(format!("its dictionary keys have the format {keys:?}; expected one of integers"));
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

    fn at<'s>(pointer: *mut Self) -> Option<&'s Self> {
        // SAFETY: the interface says that the pointer is null or to a schema that lives as long as the one around it.
        #[allow(unsafe_code)]
        unsafe {
            pointer.as_ref()
        }
    }
}

impl RawArray {
    /// What is wrong with it, beside a schema that says whether there is a dictionary.
    pub(crate) fn check(&self, schema: &RawSchema) -> Result<(), String> {
        if self.release.is_none() {
            return Err(HANDED_OVER.to_owned());
        }
        if self.length < 0 || self.offset < 0 || self.buffer_count < 0 || self.child_count != schema.child_count {
            return Err("its array has a negative size, or other children than its schema".to_owned());
        }
        if self.dictionary.is_null() != schema.dictionary.is_null() {
            return Err("of its array and its schema only one has a dictionary".to_owned());
        }
        Ok(())
    }
}

impl RawStream {
    /// What is wrong with it or with its schema.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let (Some(_), Some(get_schema), false) = (self.release, self.get_schema, self.get_next.is_null()) else {
            return Err(HANDED_OVER.to_owned());
        };
        let mut schema = FFI_ArrowSchema::empty();
        let raw = std::ptr::from_mut(&mut schema).cast::<RawSchema>();
        // SAFETY: the stream's own function, which fills in a schema or fails and leaves it as it is: empty. Dropping
        // the schema releases it.
        #[allow(unsafe_code)]
        let schema = unsafe { if get_schema(self, raw) == 0 { raw.as_ref() } else { None } };
        schema.map_or(Ok(()), RawSchema::check) // what failed here fails again, with its message, where it is read
    }
}
