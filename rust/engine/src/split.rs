//! The split of a normalised text into words: CLIP's pattern, by hand.
//!
//! ```text
//! SPECIALS|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//! ```
//!
//! The specials are the profile's start and end of text. Each profile's reference treats them differently, see
//! [`Piece`]. The regex package matches without case, on text that is in lower case already: the only letter that
//! this still concerns is the long s, which lowercasing keeps and which matches `s`.

use crate::profile::Profile;
use crate::unicode::Class;
use std::ops::{ControlFlow, Range};

/// What the split yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A word to merge: its bytes in the text.
    Word(Range<usize>),
    /// Start (0) or end (1) of text spelled out.
    Special(usize, Range<usize>),
}

/// Calls `take` with each piece of `text`, in order, until it breaks.
pub(crate) fn split(text: &str, profile: Profile, mut take: impl FnMut(Piece) -> ControlFlow<()>) -> ControlFlow<()> {
    let table = profile.table();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let class = table.get(c).class();
        let mut end = at + c.len_utf8();
        if class == Class::Space {
            at = end;
            continue;
        }
        if c == '<'
            && let Some((which, special)) = special_at(text, at, profile)
        {
            end = special.end;
            take_special(which, special, text, profile, &mut take)?;
            at = end;
            continue;
        }
        if c == '\''
            && let Some(length) = contraction(&text.as_bytes()[end..], profile.cleans())
        {
            end += length;
        } else if class != Class::Number {
            let run = text[end..].char_indices().find(|&(_, c)| table.get(c).class() != class);
            end = run.map_or(text.len(), |(length, _)| end + length);
        }
        take(Piece::Word(at..end))?;
        at = end;
    }
    ControlFlow::Continue(())
}

/// How many bytes after an apostrophe belong to a contraction. `long_s`: whether that letter counts as an s.
pub(crate) fn contraction(rest: &[u8], long_s: bool) -> Option<usize> {
    match rest {
        [b's' | b't' | b'm' | b'd', ..] => Some(1),
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => Some(2),
        [0xC5, 0xBF, ..] if long_s => Some(2),
        _ => None,
    }
}

fn special_at(text: &str, at: usize, profile: Profile) -> Option<(usize, Range<usize>)> {
    let specials = profile.pattern_specials();
    specials.iter().enumerate().find_map(|(which, special)| {
        let mut rest = text[at..].char_indices();
        for wanted in special.chars() {
            let (_, found) = rest.next()?;
            if found != wanted && !(profile.cleans() && wanted == 's' && found == '\u{17F}') {
                return None;
            }
        }
        Some((which, at..at + rest.next().map_or(text.len() - at, |(length, _)| length)))
    })
}

fn take_special(
    which: usize,
    special: Range<usize>,
    text: &str,
    profile: Profile,
    take: &mut impl FnMut(Piece) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if profile == Profile::Transformers {
        // tokenizers splits each piece once more, by GPT-2's pattern: `<|`, the name, `|>`. It only gets here when
        // the spelling was not the added token's own, say in capitals.
        let Range { start, end } = special;
        take(Piece::Word(start..start + 2))?;
        take(Piece::Word(start + 2..end - 2))?;
        take(Piece::Word(end - 2..end))
    } else if &text[special.clone()] == profile.pattern_specials()[which] {
        take(Piece::Special(which, special))
    } else {
        // With a long s the pattern matches, but the lookup by spelling fails, and the whole is merged as one word.
        take(Piece::Word(special))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, profile: Profile) -> Vec<String> {
        let mut out = Vec::new();
        let _ = split(text, profile, |piece| {
            out.push(match piece {
                Piece::Word(range) => text[range].to_owned(),
                Piece::Special(which, _) => format!("#{which}"),
            });
            ControlFlow::Continue(())
        });
        out
    }

    #[test]
    fn follows_the_pattern() {
        let cases: [(&str, &[&str]); 6] = [
            ("it's 'sabc !'s", &["it", "'s", "'s", "abc", "!'", "s"]),
            ("we'll they've i'm x're", &["we", "'ll", "they", "'ve", "i", "'m", "x", "'re"]),
            ("a1234b", &["a", "1", "2", "3", "4", "b"]),
            ("né\u{301}e\u{a0}x ...", &["né", "\u{301}", "e", "x", "..."]),
            ("", &[]),
            (" \t\n", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(pieces(text, Profile::Transformers), words);
        }
    }

    #[test]
    fn specials_by_profile() {
        assert_eq!(pieces("<|endoftext|>!", Profile::Transformers), ["<|", "endoftext", "|>", "!"]);
        assert_eq!(pieces("a<|endoftext|>!", Profile::OpenAi), ["a", "#1", "!"]);
        assert_eq!(pieces("!<|endoftext|>", Profile::OpenAi), ["!<|", "endoftext", "|>"]);
        assert_eq!(pieces("<start_of_text>", Profile::OpenClip), ["#0"]);
        assert_eq!(pieces("<\u{17F}tart_of_text>", Profile::OpenClip), ["<\u{17F}tart_of_text>"]);
        assert_eq!(pieces("x'\u{17F}", Profile::OpenClip), ["x", "'\u{17F}"]);
        assert_eq!(pieces("x'\u{17F}", Profile::Transformers), ["x", "'", "\u{17F}"]);
    }
}
