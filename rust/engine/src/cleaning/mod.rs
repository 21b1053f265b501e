//! The cleaning that three of the profiles' references begin with: ftfy 6.3.1's `fix_text` with its defaults, Python's
//! `html.unescape` and `str.lower`.
//!
//! The engine calls it for the texts that it could change (`unicode::needs_cleaning`). Unicode's version is 14 whatever
//! Python is there, so that ids do not depend on it: what is newer is no letter, has no lower case and combines with
//! nothing.

mod badness;
mod bytes;
mod characters;
mod codecs;
mod encoding;
mod entities;
mod lower;
mod nfc;
mod tables;

use crate::profile::Profile;
use std::borrow::Cow;
use tables::Flags;

/// The text as the profile's reference cleans it: in lower case, and one space for each run of white space. For
/// [`Profile::Transformers`], which has no such cleaning, the text itself.
///
/// ```
/// use cliptok::{Profile, clean};
/// assert_eq!(clean("  “Caf&eacute;&ampamp;”\n", Profile::OpenClip), "\"café&amp;\"");
/// ```
pub fn clean(text: &str, profile: Profile) -> String {
    let mut fixed = match profile {
        Profile::Transformers => return text.to_owned(),
        _ => fix_text(text),
    };
    if matches!(profile, Profile::OpenClip | Profile::OpenAi) {
        for _ in 0..2 {
            fixed = entities::unescape(&fixed).unwrap_or(fixed);
        }
    }
    lower::lower(&lower::join_words(&fixed))
}

/// ftfy's `fix_text`: mojibake, entities, quotes, widths, ligatures, line breaks and controls put right, in NFC.
///
/// ```
/// assert_eq!(cliptok::fix_text("â€œsÃ³â€\u{9d} &lt;3 \u{FF21}"), "\"só\" <3 A");
/// ```
pub fn fix_text(text: &str) -> String {
    /// Code points that are looked at together, where there is no line break.
    const MOST: usize = 1_000_000;
    let mut out = String::with_capacity(text.len());
    let mut unescape = true;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(MOST).map_or(rest.len(), |(at, _)| at);
            let segment;
            (segment, rest) = rest.split_at(end);
            unescape &= !segment.contains('<'); // from here on it is HTML
            out.push_str(&fix_segment(segment, unescape));
        }
    }
    out
}

/// All steps, again and again until nothing changes.
fn fix_segment(segment: &str, unescape: bool) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(segment);
    loop {
        let Some(fixed) = fix_once(&text, unescape).filter(|fixed| *fixed != *text) else { return text };
        text = Cow::Owned(fixed);
    }
}

/// All steps, but for those that a look at the characters shows to change nothing. `None` where none is left.
fn fix_once(text: &str, unescape: bool) -> Option<String> {
    let mut fixed = Cow::Borrowed(text);
    let change = |step: Option<String>, fixed: &mut Cow<'_, str>| {
        step.into_iter().for_each(|step| *fixed = Cow::Owned(step));
    };
    if unescape {
        change(entities::unescape_strictly(&fixed), &mut fixed);
    }
    change(encoding::fix_encoding(&fixed), &mut fixed);
    let mut flags = Flags::of_all(&fixed);
    if flags.is_replaced() || fixed.contains('\r') {
        change(Some(characters::replace(&fixed)), &mut fixed);
        flags = Flags::of_all(&fixed);
    }
    if flags.is_removed() {
        if fixed.contains('\x1B') {
            change(Some(characters::remove_escapes(&fixed)), &mut fixed);
        }
        change(Some(characters::remove_controls(&fixed)), &mut fixed);
    }
    if flags.composes() {
        change(Some(nfc::nfc(&fixed)), &mut fixed);
    }
    match fixed {
        Cow::Borrowed(_) => None,
        Cow::Owned(fixed) => Some(fixed),
    }
}
