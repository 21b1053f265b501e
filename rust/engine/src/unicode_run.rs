//! The scan of a Unicode run: lowercases text beyond ASCII, finds its words and checks that NFC would not change it, in
//! one pass over its characters.

use crate::profile::Profile;
use crate::reserve::{is_large, reserve};
use crate::unicode::{Class, NfcCheck, lowercase};
use crate::word_cache::KEY_BYTES;
use crate::words::{is_space, join_contractions};

/// The classes of ASCII characters, on which all references agree.
static ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            _ if is_space(byte) => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// The words of a Unicode run. Its buffers are reused from run to run.
#[derive(Debug, Default)]
pub(crate) struct UnicodeRun {
    lower: Vec<u8>,
    starts: Vec<u32>,
}

impl UnicodeRun {
    /// Scans `text`, in which neither an added token nor a special begins. Returns false when NFC may change it or
    /// it holds NUL: then it must take the general path.
    pub(crate) fn scan(&mut self, text: &str, profile: Profile) -> bool {
        let Self { lower, starts } = self;
        starts.clear();
        // Lowercasing at most doubles a character's bytes. Four are stored at a time, whatever its length.
        let bytes = lower.len().max(2 * text.len() + KEY_BYTES);
        reserve(lower, bytes - lower.len());
        if is_large(text) {
            // A word has a byte at least. Memory that is not written to costs nothing.
            reserve(starts, text.len() + 1);
        }
        lower.resize(bytes, 0);
        let table = profile.table();
        let (mut nfc, mut run, mut length) = (NfcCheck::default(), Class::Space, 0);
        let mut take = |bytes: [u8; 4], count: usize, class: Class| {
            if class != run || class == Class::Number {
                if class != Class::Space {
                    starts.push(length as u32);
                }
                run = class;
            }
            let (bytes, count) = if class == Class::Space { ([0; 4], 1) } else { (bytes, count) };
            lower[length..][..4].copy_from_slice(&bytes);
            length += count;
        };
        let mut has_apostrophe = false;
        let mut rest = text;
        while let [first, ..] = *rest.as_bytes() {
            if first.is_ascii() {
                if first == 0 {
                    return false;
                }
                nfc = NfcCheck::default(); // NFC reorders nothing across ASCII
                has_apostrophe |= first == b'\'';
                take([first.to_ascii_lowercase(), 0, 0, 0], 1, ASCII[usize::from(first & 127)]);
                rest = &rest[1..];
                continue;
            }
            if let [first @ 0xC2..=0xDF, second, ..] = *rest.as_bytes()
                && let Some(([first, second], class)) = table.two_bytes(first, second).get()
            {
                nfc = NfcCheck::default(); // nor across these
                take([first, second, 0, 0], 2, class);
                rest = &rest[2..];
                continue;
            }
            let Some(c) = rest.chars().next() else { break };
            let properties = table.get(c);
            // In the other profiles, a text that NFC would change has gone through cleaning.
            if profile == Profile::Transformers && !nfc.allows(properties) {
                return false;
            }
            if properties.lowers() {
                for c in lowercase(c).into_iter().flatten() {
                    take(encoded(c), c.len_utf8(), table.get(c).class());
                }
            } else {
                let bytes = rest.as_bytes().first_chunk().copied().unwrap_or_else(|| encoded(c));
                take(bytes, c.len_utf8(), properties.class());
            }
            rest = &rest[c.len_utf8()..];
        }
        let mut words = starts.len();
        if has_apostrophe {
            words = join_contractions(starts, length, lower, profile.cleans());
        }
        starts.truncate(words);
        starts.push(length as u32);
        true
    }

    /// The capacity in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.lower.capacity()
    }

    /// The text in lower case, with zeros for white space. At least [`KEY_BYTES`] can be read from the start of each word.
    pub(crate) fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// The starts of the words, as byte offsets into [`UnicodeRun::lower`], and behind them where the last word ends at the
    /// latest.
    pub(crate) fn words(&self) -> &[u32] {
        &self.starts
    }
}

fn encoded(c: char) -> [u8; 4] {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes);
    bytes
}
