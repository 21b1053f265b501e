//! Any structures of the Arrow C interface, with buffers as long as they say: read as plain code reads them, or refused,
//! and released once.
#![no_main]

#[path = "../../bindings/src/arrow_check.rs"]
mod arrow_check;
#[path = "../../bindings/src/arrow_column.rs"]
mod arrow_column;
#[path = "../../bindings/src/nulls.rs"]
mod nulls;

use arbitrary::Arbitrary;
use arrow_column::{Column, ColumnError};
use libfuzzer_sys::fuzz_target;
use nulls::Nulls;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;

/// An array, and how what it says of itself differs from what it is.
#[derive(Arbitrary, Debug)]
struct Input {
    texts: Vec<Option<String>>,
    layout: u8,
    dictionary: Option<Dictionary>,
    /// Rows before the first.
    offset: u8,
    null_as_empty: bool,
    as_stream: bool,
    /// How often the stream gives the array.
    chunks: u8,
    lies: Vec<Lie>,
    /// Of a dictionary's values, not of its keys.
    inner_lies: Vec<Lie>,
}

impl Input {
    fn is_honest(&self) -> bool {
        self.lies.is_empty() && (self.inner_lies.is_empty() || self.dictionary.is_none())
    }
}

#[derive(Arbitrary, Debug)]
struct Dictionary {
    keys: Vec<i64>,
    width: u8,
}

#[derive(Arbitrary, Debug)]
enum Lie {
    Format(Option<Vec<u8>>),
    Flags(i64),
    NullCount(i64),
    Length(i64),
    Offset(i64),
    Buffers(i64),
    Children(i64),
    ArrayChildren(i64),
    NullBuffer(u8),
    NoDictionary,
    NoArrayDictionary,
    Released,
    ArrayReleased,
    /// A byte of a buffer becomes another.
    Byte {
        buffer: u8,
        at: u16,
        value: u8,
    },
    /// An offset becomes another. The last one is also the size of a view's bytes.
    At {
        at: u16,
        value: i64,
    },
}

#[repr(C)]
struct Schema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    child_count: i64,
    children: *mut *mut Schema,
    dictionary: *mut Schema,
    release: Option<unsafe extern "C" fn(*mut Schema)>,
    owner: *mut c_void,
}

#[repr(C)]
struct Array {
    length: i64,
    null_count: i64,
    offset: i64,
    buffer_count: i64,
    child_count: i64,
    buffers: *mut *const c_void,
    children: *mut *mut Array,
    dictionary: *mut Array,
    release: Option<unsafe extern "C" fn(*mut Array)>,
    owner: *mut c_void,
}

#[repr(C)]
struct Stream {
    get_schema: Option<unsafe extern "C" fn(*mut Stream, *mut Schema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut Stream, *mut Array) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut Stream) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut Stream)>,
    owner: *mut c_void,
}

/// What a structure points to.
#[derive(Default)]
struct Held {
    format: Option<CString>,
    buffers: Vec<Vec<u64>>,
    pointers: Vec<*const c_void>,
}

unsafe extern "C" fn release_schema(schema: *mut Schema) {
    let schema = unsafe { &mut *schema };
    assert!(schema.release.take().is_some(), "released twice");
    drop(unsafe { Box::from_raw(schema.owner.cast::<Held>()) });
    release_owned(schema.dictionary, |dictionary| dictionary.release);
}

unsafe extern "C" fn release_array(array: *mut Array) {
    let array = unsafe { &mut *array };
    assert!(array.release.take().is_some(), "released twice");
    drop(unsafe { Box::from_raw(array.owner.cast::<Held>()) });
    release_owned(array.dictionary, |dictionary| dictionary.release);
}

fn release_owned<T>(dictionary: *mut T, release: impl Fn(&T) -> Option<unsafe extern "C" fn(*mut T)>) {
    if !dictionary.is_null() {
        let mut dictionary = unsafe { Box::from_raw(dictionary) };
        if let Some(release) = release(&dictionary) {
            unsafe { release(&mut *dictionary) };
        }
    }
}

fn schema(format: Option<&[u8]>) -> Schema {
    let format = format.and_then(|bytes| CString::new(bytes).ok());
    let pointer = format.as_deref().map_or(std::ptr::null(), CStr::as_ptr);
    let owner = Box::into_raw(Box::new(Held { format, ..Held::default() })).cast();
    Schema {
        format: pointer,
        name: c"".as_ptr(),
        metadata: std::ptr::null(),
        flags: 2,
        child_count: 0,
        children: null_mut(),
        dictionary: null_mut(),
        release: Some(release_schema),
        owner,
    }
}

fn array(length: usize, offset: usize, null_count: usize, buffers: Vec<Option<Vec<u8>>>) -> Array {
    let has: Vec<bool> = buffers.iter().map(Option::is_some).collect();
    // In words of eight bytes, so that they are aligned, and one more: an empty buffer has an address too.
    let words = |bytes: Option<Vec<u8>>| {
        let bytes = bytes.unwrap_or_default();
        let mut words = vec![0; bytes.len() / 8 + 1];
        for (at, byte) in bytes.into_iter().enumerate() {
            words[at / 8] |= u64::from(byte) << (at % 8 * 8);
        }
        words
    };
    let buffers: Vec<Vec<u64>> = buffers.into_iter().map(words).collect();
    let pointers =
        buffers.iter().zip(has).map(|(buffer, has)| if has { buffer.as_ptr().cast() } else { std::ptr::null() });
    let mut held = Box::new(Held { format: None, pointers: pointers.collect(), buffers });
    let (buffer_count, pointers) = (held.buffers.len() as i64, held.pointers.as_mut_ptr());
    Array {
        length: length as i64,
        null_count: null_count as i64,
        offset: offset as i64,
        buffer_count,
        child_count: 0,
        buffers: pointers,
        children: null_mut(),
        dictionary: null_mut(),
        release: Some(release_array),
        owner: Box::into_raw(held).cast(),
    }
}

const FORMATS: [&[u8]; 3] = [b"u", b"U", b"vu"];

/// An array of texts in a layout, `offset` rows of which come before the first.
fn texts_array(texts: &[Option<String>], layout: usize, offset: usize, lies: &[Lie]) -> Array {
    let padding = std::iter::repeat_n(&None, offset);
    let all: Vec<Option<&str>> = padding.chain(texts).map(Option::as_deref).collect();
    let null_count = texts.iter().filter(|text| text.is_none()).count();
    let mut validity = vec![0; all.len() / 8 + 1];
    for (row, _) in all.iter().enumerate().filter(|(_, text)| text.is_some()) {
        validity[row / 8] |= 1 << (row % 8);
    }
    let mut data: Vec<u8> = Vec::new();
    let mut offsets = vec![0i64];
    for text in &all {
        data.extend(text.unwrap_or_default().as_bytes());
        offsets.push(data.len() as i64);
    }
    let last = offsets.len() - 1;
    let mut views: Vec<u8> = Vec::new();
    for (row, text) in all.iter().enumerate() {
        let text = text.unwrap_or_default().as_bytes();
        let mut view = [0; 16];
        view[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
        if text.len() <= 12 {
            view[4..4 + text.len()].copy_from_slice(text);
        } else {
            view[4..8].copy_from_slice(&text[..4]);
            view[12..].copy_from_slice(&(offsets[row] as u32).to_le_bytes());
        }
        views.extend(view);
    }
    // The last row's end is what the interface says of the data's length, so it may only be less.
    let any_is_last = lies.iter().any(|lie| matches!(lie, Lie::Length(_) | Lie::Offset(_)));
    for lie in lies {
        if let Lie::At { at, value } = lie {
            let at = usize::from(*at) % offsets.len();
            offsets[at] = if any_is_last || at == last { (*value).min(data.len() as i64) } else { *value };
        }
    }
    let narrow = || offsets.iter().flat_map(|&offset| (offset as i32).to_le_bytes()).collect();
    let mut buffers = match layout {
        0 => vec![Some(validity), Some(narrow()), Some(data)],
        1 => vec![Some(validity), Some(offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()), Some(data)],
        _ => {
            let sizes = offsets[last].to_le_bytes().to_vec();
            vec![Some(validity), Some(views), Some(data), Some(sizes)]
        }
    };
    for lie in lies {
        match lie {
            Lie::NullBuffer(at) => {
                let at = usize::from(*at) % buffers.len();
                buffers[at] = None;
            }
            Lie::Byte { buffer, at, value } => {
                let buffer = usize::from(*buffer) % buffers.len();
                // Neither the last offset nor the sizes of buffers may be more than there is.
                let free = match (layout, buffer) {
                    (0 | 1, 1) if any_is_last => 0,
                    (0, 1) => 4 * last,
                    (1, 1) => 8 * last,
                    (_, 3) => 0,
                    _ => usize::MAX,
                };
                if let Some(bytes) = &mut buffers[buffer] {
                    let count = bytes.len().min(free);
                    if count > 0 {
                        bytes[usize::from(*at) % count] = *value;
                    }
                }
            }
            _ => {}
        }
    }
    array(texts.len(), offset, null_count, buffers)
}

/// Keys as a library of the given width writes them; every width can hold a negative one but the unsigned.
fn keys_array(dictionary: &Dictionary, values: usize, honest: bool) -> (Array, &'static [u8], Vec<Option<usize>>) {
    const FORMATS: [(&[u8], usize); 8] =
        [(b"c", 1), (b"C", 1), (b"s", 2), (b"S", 2), (b"i", 4), (b"I", 4), (b"l", 8), (b"L", 8)];
    let (format, width) = FORMATS[usize::from(dictionary.width) % FORMATS.len()];
    let mut validity = vec![0; dictionary.keys.len() / 8 + 1];
    let (mut bytes, mut keys) = (Vec::new(), Vec::new());
    for (row, &key) in dictionary.keys.iter().enumerate() {
        let reduced = (values > 0).then(|| key.unsigned_abs() as usize % values.min(128));
        let key = if honest { reduced.unwrap_or(0) as i64 } else { key };
        bytes.extend(&key.to_le_bytes()[..width]);
        if reduced.is_some() {
            validity[row / 8] |= 1 << (row % 8);
        }
        keys.push(reduced);
    }
    let null_count = keys.iter().filter(|key| key.is_none()).count();
    (array(keys.len(), 0, null_count, vec![Some(validity), Some(bytes)]), format, keys)
}

unsafe fn release_all(schema: &mut Schema, array: &mut Array) {
    if schema.release.is_some() {
        unsafe { release_schema(schema) };
    }
    if array.release.is_some() {
        unsafe { release_array(array) };
    }
}

/// What a stream gives.
struct Source<'i> {
    input: &'i Input,
    left: u8,
}

unsafe extern "C" fn get_schema(stream: *mut Stream, out: *mut Schema) -> c_int {
    let source = unsafe { &*(*stream).owner.cast::<Source>() };
    unsafe { out.write(made(source.input).0) };
    0
}

unsafe extern "C" fn get_next(stream: *mut Stream, out: *mut Array) -> c_int {
    let source = unsafe { &mut *(*stream).owner.cast::<Source>() };
    if source.left == 0 {
        let end = Array { release: None, ..unowned() };
        unsafe { out.write(end) };
    } else {
        source.left -= 1;
        unsafe { out.write(made(source.input).1) };
    }
    0
}

unsafe extern "C" fn get_last_error(_: *mut Stream) -> *const c_char {
    std::ptr::null()
}

unsafe extern "C" fn release_stream(stream: *mut Stream) {
    assert!(unsafe { &mut *stream }.release.take().is_some(), "released twice");
}

fn unowned() -> Array {
    Array {
        length: 0,
        null_count: 0,
        offset: 0,
        buffer_count: 0,
        child_count: 0,
        buffers: null_mut(),
        children: null_mut(),
        dictionary: null_mut(),
        release: None,
        owner: null_mut(),
    }
}

/// The structures, and the texts of their rows.
fn made(input: &Input) -> (Schema, Array, Vec<Option<&str>>) {
    let layout = usize::from(input.layout) % FORMATS.len();
    let texts: Vec<Option<&str>> = input.texts.iter().map(Option::as_deref).collect();
    let offset = usize::from(input.offset);
    let Some(dictionary) = &input.dictionary else {
        let (mut schema, mut array) =
            (schema(Some(FORMATS[layout])), texts_array(&input.texts, layout, offset, &input.lies));
        tell(&mut schema, &mut array, &input.lies);
        return (schema, array, texts);
    };
    let (mut values_schema, mut values) =
        (schema(Some(FORMATS[layout])), texts_array(&input.texts, layout, offset, &input.inner_lies));
    tell(&mut values_schema, &mut values, &input.inner_lies);
    let (mut array, format, keys) = keys_array(dictionary, texts.len(), input.is_honest());
    let mut schema = schema(Some(format));
    schema.dictionary = Box::into_raw(Box::new(values_schema));
    array.dictionary = Box::into_raw(Box::new(values));
    tell(&mut schema, &mut array, &input.lies);
    (schema, array, keys.into_iter().map(|key| key.and_then(|key| texts[key])).collect())
}

/// The lies that are about structures.
fn tell(schema: &mut Schema, array: &mut Array, lies: &[Lie]) {
    for lie in lies {
        match lie {
            Lie::Format(format) => replace_format(schema, format.as_deref()),
            Lie::Flags(flags) => schema.flags = *flags,
            Lie::NullCount(count) => array.null_count = *count,
            Lie::Length(length) => array.length = (*length).min(array.length),
            Lie::Offset(offset) => array.offset = (*offset).min(array.offset),
            Lie::Buffers(count) => array.buffer_count = (*count).min(array.buffer_count),
            Lie::Children(count) => schema.child_count = *count,
            Lie::ArrayChildren(count) => array.child_count = *count,
            Lie::NoDictionary => {
                release_owned(std::mem::replace(&mut schema.dictionary, null_mut()), |schema| schema.release);
            }
            Lie::NoArrayDictionary => {
                release_owned(std::mem::replace(&mut array.dictionary, null_mut()), |array| array.release);
            }
            Lie::Released => {
                if schema.release.is_some() {
                    unsafe { release_schema(schema) };
                    schema.dictionary = null_mut();
                }
            }
            Lie::ArrayReleased => {
                if array.release.is_some() {
                    unsafe { release_array(array) };
                    array.dictionary = null_mut();
                }
            }
            Lie::NullBuffer(_) | Lie::Byte { .. } | Lie::At { .. } => {}
        }
    }
}

/// A type whose buffers are other than these would be a lie about memory: only those of texts, or of no type at all.
fn replace_format(schema: &mut Schema, format: Option<&[u8]>) {
    let new = self::schema(format.filter(|bytes| !bytes.is_empty() && std::str::from_utf8(bytes).is_err()));
    if schema.release.is_some() {
        drop(unsafe { Box::from_raw(schema.owner.cast::<Held>()) });
        (schema.format, schema.owner) = (new.format, new.owner);
    } else {
        drop(unsafe { Box::from_raw(new.owner.cast::<Held>()) });
    }
}

fuzz_target!(|input: Input| {
    let nulls = Nulls::new(input.null_as_empty);
    let (mut schema, mut array, texts) = made(&input);
    let chunks = if input.as_stream { input.chunks % 4 } else { 1 };
    let found = if input.as_stream {
        let mut source = Source { input: &input, left: chunks };
        let mut stream = Stream {
            get_schema: Some(get_schema),
            get_next: Some(get_next),
            get_last_error: Some(get_last_error),
            release: Some(release_stream),
            owner: (&raw mut source).cast(),
        };
        let found = unsafe { Column::from_stream((&raw mut stream).cast()) };
        assert!(stream.release.is_none(), "not taken");
        unsafe {
            release_all(&mut schema, &mut array);
        }
        found
    } else {
        let found = unsafe { Column::from_array((&raw mut schema).cast(), (&raw mut array).cast()) };
        assert!(schema.release.is_none() && array.release.is_none(), "not taken");
        found
    };
    let wanted: Vec<Option<&str>> = (0..chunks).flat_map(|_| texts.iter().copied()).collect();
    match found.and_then(|column| {
        let mut read = Vec::new();
        column.read(0..column.len(), nulls, &mut read)?;
        let mut halves = Vec::new();
        column.read(0..column.len() / 2, nulls, &mut halves)?;
        column.read(column.len() / 2..column.len(), nulls, &mut halves)?;
        assert_eq!(read, halves);
        read.iter().for_each(|text| assert!(std::str::from_utf8(text.as_bytes()).is_ok()));
        Ok(read.into_iter().map(str::to_owned).collect::<Vec<_>>())
    }) {
        Ok(read) if input.is_honest() => {
            assert_eq!(read, wanted.iter().map(|text| text.unwrap_or_default()).collect::<Vec<_>>());
        }
        Err(ColumnError::Null(row)) if input.is_honest() => {
            assert!(!input.null_as_empty);
            assert_eq!(Some(row), wanted.iter().position(Option::is_none));
        }
        Err(error) if input.is_honest() => panic!("refused: {error:?}"),
        Ok(_) | Err(_) => {}
    }
});
