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

use crate::interrupt::poll_now;
use crate::profile::Profile;
use std::borrow::Cow;
use tables::Flags;

/// The text as the profile's reference cleans it: in lower case, and one space for each run of white space. For
/// [`Profile::Transformers`], which has no such cleaning, the text itself.
///
/// ```
/// use cliptok::{Profile, clean};
/// assert_eq!(clean("  “Caf&eacute;”\n &ampx", Profile::OpenClip), "\"café\" &x");
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
    let mut work = Work::on(text);
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(MOST).map_or(rest.len(), |(at, _)| at);
            let segment;
            (segment, rest) = rest.split_at(end);
            unescape &= !segment.contains('<'); // from here on it is HTML
            out.push_str(&fix_segment(segment, unescape, &mut work));
        }
    }
    out
}

/// All steps, again and again until nothing changes.
fn fix_segment<'t>(segment: &'t str, unescape: bool, work: &mut Work) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(segment);
    while work.spend(&text)
        && let Some(Pass { fixed, only_entities }) = fix_once(&text, unescape, work)
        && fixed != text
    {
        let shortened = if only_entities { entities::shorten_chains(&fixed) } else { None };
        text = Cow::Owned(shortened.unwrap_or(fixed));
    }
    text
}

/// What became of a text.
struct Pass {
    fixed: String,
    /// Whether no other step found anything to do.
    only_entities: bool,
}

/// All steps, but for those that a look at the characters shows to change nothing. `None` where none is left.
fn fix_once(text: &str, unescape: bool, work: &mut Work) -> Option<Pass> {
    let mut fixed = Cow::Borrowed(text);
    if unescape && let Some(unescaped) = entities::unescape_strictly(&fixed) {
        fixed = Cow::Owned(unescaped);
    }
    let mut only_entities = true;
    let mut apply = |step: String, fixed: &mut Cow<'_, str>| {
        *fixed = Cow::Owned(step);
        only_entities = false;
    };
    if let Some(step) = encoding::fix_encoding(&fixed, work) {
        apply(step, &mut fixed);
    }
    let mut flags = Flags::of_all(&fixed);
    if flags.is_replaced() || fixed.contains('\r') {
        apply(characters::replace(&fixed), &mut fixed);
        flags = Flags::of_all(&fixed);
    }
    if flags.is_removed() {
        if fixed.contains('\x1B') {
            apply(characters::remove_escapes(&fixed), &mut fixed);
        }
        apply(characters::remove_controls(&fixed), &mut fixed);
    }
    if flags.composes() {
        apply(nfc::nfc(&fixed), &mut fixed);
    }
    match fixed {
        Cow::Borrowed(_) => None,
        Cow::Owned(fixed) => Some(Pass { fixed, only_entities }),
    }
}

/// How many bytes may still be gone through for one text.
///
/// ftfy repeats its steps until nothing changes. There are texts of which each pass changes one character and enables the
/// next change, and on which ftfy takes time in the square of their length. Chains of entities are shortened; of what is
/// left, mojibake that unfolds from one end, a text of 2,000 bytes is put right whole, and a longer one as far as this goes.
struct Work(usize);

impl Work {
    fn on(text: &str) -> Self {
        const ANY_TEXT: usize = 1_500_000;
        const PASSES: usize = 16;
        Self(ANY_TEXT + PASSES * text.len())
    }

    /// Whether `text` may be gone through once more.
    fn spend(&mut self, text: &str) -> bool {
        poll_now();
        let left = self.0.checked_sub(text.len());
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text may be gone through some 16 times, and a short one so often that it is put right whole.
    #[test]
    fn work_is_bounded_by_the_length() {
        let times = |length: usize| {
            let text = "x".repeat(length);
            let mut work = Work::on(&text);
            (0..2000).take_while(|_| work.spend(&text)).count()
        };
        assert!((700..1000).contains(&times(2000)), "{}", times(2000));
        assert!((16..20).contains(&times(1_000_000)), "{}", times(1_000_000));
    }
}
