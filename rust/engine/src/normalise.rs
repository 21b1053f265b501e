//! Normalisation as tokenizers does it (NFC, white space, lowercase), with or without offsets into the original text.

use crate::interrupt::poll;
use crate::profile::Profile;
use crate::reserve::{is_large, require, reserve};
use crate::unicode::{Class, NfcCheck, Table, lowercase};
use unicode_normalization_alignments::UnicodeNormalization;

/// Appends `text` in lower case, with one space per run of white space and, in the `transformers` profile, in NFC. In the
/// other profiles cleaning has applied NFC already.
pub(crate) fn normalise_into(out: &mut String, text: &str, profile: Profile) {
    const BYTES: usize = 6; // what a byte may become, in NFC and lower case, twice while the text grows
    if is_large(text) {
        require(BYTES * text.len());
    }
    let table = profile.table();
    let mut writer = Writer { table, in_space: false };
    if profile == Profile::Transformers && !is_nfc(text, table) {
        text.nfc().for_each(|(c, _)| writer.write(c, |c| out.push(c)));
    } else {
        text.chars().for_each(|c| writer.write(c, |c| out.push(c)));
    }
}

/// Lowercases characters and reduces each run of white space to one space.
struct Writer {
    table: &'static Table,
    in_space: bool,
}

impl Writer {
    #[inline]
    fn write(&mut self, c: char, mut push: impl FnMut(char)) {
        poll();
        let properties = self.table.get(c);
        let space = properties.class() == Class::Space;
        if space {
            if !self.in_space {
                push(' ');
            }
        } else if properties.lowers() {
            lowercase(c).into_iter().flatten().for_each(push);
        } else {
            push(c);
        }
        self.in_space = space;
    }
}

fn is_nfc(text: &str, table: &Table) -> bool {
    let mut check = NfcCheck::default();
    text.chars().inspect(|_| poll()).all(|c| check.allows(table.get(c)))
}

/// A normalised text, and for each of its bytes the byte range of the original character that it comes from.
#[derive(Debug, Default)]
pub(crate) struct Normalised {
    pub(crate) text: String,
    pub(crate) origins: Vec<(usize, usize)>,
}

/// As [`normalise_into`] for the `transformers` profile, with origins.
///
/// tokenizers gives each normalised character the range of the character that it replaced. Characters that composed into
/// it are skipped, and an inserted character has the range of the last original one that was replaced or skipped.
pub(crate) fn normalise_with_origins(text: &str) -> Normalised {
    const BYTES: usize = 51; // a byte may become three, in NFC and lower case, and each has an origin of 16
    let mut out = Normalised::default();
    reserve(&mut out.origins, text.len());
    if is_large(text) {
        require(BYTES * text.len());
    }
    let mut writer = Writer { table: Profile::Transformers.table(), in_space: false };
    let mut original = text.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
    let mut last = (0, 0);
    for (c, change) in text.nfc() {
        let mut origin = last;
        if change <= 0 {
            origin = original.next().unwrap_or(last);
            last = original.by_ref().take(change.unsigned_abs()).last().unwrap_or(origin);
        }
        let before = out.text.len();
        writer.write(c, |c| {
            out.text.push(c);
            out.origins.extend(std::iter::repeat_n(origin, c.len_utf8()));
        });
        if out.text.len() == before
            && let Some(space) = out.origins.last_mut()
        {
            *space = origin; // a run of white space has the range of its last character
        }
    }
    out
}
