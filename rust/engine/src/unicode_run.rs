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
        let (all, mut at) = (text.as_bytes(), 0);
        while let Some(&first) = all.get(at) {
            if first.is_ascii() {
                if first == 0 {
                    return false;
                }
                nfc = NfcCheck::default(); // NFC reorders nothing across ASCII
                has_apostrophe |= first == b'\'';
                take([first.to_ascii_lowercase(), 0, 0, 0], 1, ASCII[usize::from(first & 127)]);
                at += 1;
                continue;
            }
            // Behind the last character there is nothing of it.
            let bytes: [u8; 4] =
                all[at..].first_chunk().copied().unwrap_or_else(|| std::array::from_fn(|i| byte_at(all, at + i)));
            let [_, second, third, fourth] = bytes.map(|byte| u32::from(byte & 0x3F));
            let (c, count) = match first {
                ..0xE0 => {
                    if let Some(([first, second], class)) = table.two_bytes(bytes[0], bytes[1]).get() {
                        nfc = NfcCheck::default(); // nor across these
                        take([first, second, 0, 0], 2, class);
                        at += 2;
                        continue;
                    }
                    (u32::from(first & 0x1F) << 6 | second, 2)
                }
                0xE0..0xF0 => (u32::from(first & 0x0F) << 12 | second << 6 | third, 3),
                0xF0.. => (u32::from(first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4),
            };
            at += count;
            let properties = table.get(c);
            // In the other profiles, a text that NFC would change has gone through cleaning.
            if profile == Profile::Transformers && !nfc.allows(properties) {
                return false;
            }
            if properties.lowers() {
                let Some(c) = char::from_u32(c) else { return false }; // never
                for c in lowercase(c).into_iter().flatten() {
                    take(encoded(c), c.len_utf8(), table.get(c).class());
                }
            } else {
                take(bytes, count, properties.class());
            }
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

fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn encoded(c: char) -> [u8; 4] {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::normalise_into;
    use crate::split::{PreToken, split};
    use std::ops::ControlFlow;

    /// The words of the general path.
    fn twin(text: &str, profile: Profile) -> Vec<String> {
        let (mut normalised, mut words) = (String::new(), Vec::new());
        normalise_into(&mut normalised, text, profile);
        let _ = split(&normalised, profile, |pre_token| {
            let (PreToken::Word(range) | PreToken::Special(_, range)) = pre_token;
            words.push(normalised[range].to_owned());
            ControlFlow::Continue(())
        });
        words
    }

    #[test]
    fn words_are_those_of_the_general_path() {
        let lengthened = "\u{23a}".repeat(100);
        let texts = [
            "\u{e9}t\u{e9} \u{c9}T\u{c9} 42 \u{416}\u{436}",
            "\u{65e5}\u{672c}'s, \u{4f60}1\u{597d}2",
            "\u{e9}'\u{17f} \u{e9}'s '\u{e9}'ll'",
            "\u{e9}'\u{17f}",
            "a\u{e0100}b\u{1f600}\u{2003}\u{10ffff}x\u{f0000}",
            "\u{10400}\u{1e900}\u{2c00}\u{a640} \u{3000}\u{e9}",
            "\u{5d0}\u{5b0}\u{5bc} \u{e01}\u{e38}",
            &lengthened,
        ];
        let mut run = UnicodeRun::default();
        for (_, profile) in Profile::NAMES {
            for text in texts {
                assert!(run.scan(text, profile), "{text:?}");
                let word = |limits: &[u32]| {
                    let word = &run.lower()[limits[0] as usize..limits[1] as usize];
                    String::from_utf8(word.split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap()
                };
                let words: Vec<String> = run.words().windows(2).map(word).collect();
                assert_eq!(words, twin(text, profile), "{profile:?} {text:?}");
            }
            assert!(!run.scan("\u{e9}\0", profile));
            assert_eq!(run.scan("e\u{301}", profile), profile != Profile::Transformers);
        }
        assert!(run.capacity() >= 200);
    }
}
