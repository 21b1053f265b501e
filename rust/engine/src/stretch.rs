//! The scan of text beyond ASCII: lower case, words and the check for NFC in one pass over its characters.

use crate::profile::Profile;
use crate::scan::{OVERREAD, is_space, join_contractions};
use crate::unicode::{Class, NfcCheck, lowercase};

/// The classes of ASCII, about which all references agree.
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

/// The words of a stretch of text. Its buffers are used again.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    lower: Vec<u8>,
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Stretch {
    /// Scans `text`, in which neither an added token nor a special begins. False when it must be normalised first.
    pub(crate) fn scan(&mut self, text: &str, profile: Profile) -> bool {
        let Self { lower, starts, ends } = self;
        starts.clear();
        ends.clear();
        // A character in lower case has at most twice the bytes. Four are written whatever it has.
        lower.resize(lower.len().max(2 * text.len() + OVERREAD), 0);
        let table = profile.table();
        let (mut nfc, mut run, mut length) = (NfcCheck::default(), Class::Space, 0);
        let mut take = |bytes: [u8; 4], count: usize, class: Class| {
            if class != run || class == Class::Number {
                if run != Class::Space {
                    ends.push(length as u32);
                }
                if class != Class::Space {
                    starts.push(length as u32);
                }
                run = class;
            }
            lower[length..][..4].copy_from_slice(&bytes);
            length += count;
        };
        for (at, c) in text.char_indices() {
            if c.is_ascii() {
                nfc = NfcCheck::default(); // nothing before it can move behind it
                take([c.to_ascii_lowercase() as u8, 0, 0, 0], 1, ASCII[c as usize]);
                continue;
            }
            let properties = table.get(c);
            // In the other profiles nothing is left for NFC to do: what it could change has been cleaned.
            if profile == Profile::Transformers && !nfc.allows(properties) {
                return false;
            }
            if properties.lowers() {
                for c in lowercase(c).into_iter().flatten() {
                    take(encoded(c), c.len_utf8(), table.get(c).class());
                }
            } else {
                let bytes = text.as_bytes()[at..].first_chunk().copied().unwrap_or_else(|| encoded(c));
                take(bytes, c.len_utf8(), properties.class());
            }
        }
        take([b' ', 0, 0, 0], 1, Class::Space); // ends the last word
        let left = join_contractions(starts, ends, lower, profile.cleans());
        starts.truncate(left);
        ends.truncate(left);
        true
    }

    /// How many bytes there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.lower.capacity()
    }

    /// The text in lower case, with room behind it.
    pub(crate) fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// Where the words start and where they end in [`Stretch::lower`].
    pub(crate) fn words(&self) -> [&[u32]; 2] {
        [&self.starts, &self.ends]
    }
}

fn encoded(c: char) -> [u8; 4] {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes);
    bytes
}
