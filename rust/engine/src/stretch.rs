//! The scan of text beyond ASCII: lower case, words and the check for NFC in one pass over its characters.

use crate::profile::Profile;
use crate::scan::{OVERREAD, join_contractions};
use crate::unicode::{Class, NfcCheck, lowercase};

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
        lower.clear();
        starts.clear();
        ends.clear();
        let table = profile.table();
        let mut nfc = NfcCheck::default();
        let mut run = Class::Space;
        let mut take = |c: char, class: Class| {
            let at = lower.len() as u32;
            if class != run || class == Class::Number {
                if run != Class::Space {
                    ends.push(at);
                }
                if class != Class::Space {
                    starts.push(at);
                }
                run = class;
            }
            lower.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        };
        for c in text.chars() {
            let properties = table.get(c);
            // In the other profiles nothing is left for NFC to do: what it could change has been cleaned.
            if profile == Profile::Transformers && !nfc.allows(properties) {
                return false;
            }
            if properties.lowers() {
                lowercase(c).into_iter().flatten().for_each(|c| take(c, table.get(c).class()));
            } else {
                take(c, properties.class());
            }
        }
        take(' ', Class::Space); // ends the last word
        lower.extend_from_slice(&[0; OVERREAD]);
        let left = join_contractions(starts, ends, lower, profile.cleans());
        starts.truncate(left);
        ends.truncate(left);
        true
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
