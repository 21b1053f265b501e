//! The pre-tokenizer: splits a normalised text into words by CLIP's pattern, without a regular expression.
//!
//! ```text
//! SPECIALS|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//! ```
//!
//! The specials are the profile's start and end of text. Each profile's reference treats them differently, see
//! [`PreToken`]. The regex package matches without case, on text that is in lower case already: the only letter that
//! this still concerns is the long s, which lowercasing keeps and which matches `s`.

use crate::profile::Profile;
use crate::unicode::Class;
use crate::words::contraction;
use std::ops::{ControlFlow, Range};

/// A pre-token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PreToken {
    /// A word to merge, as a byte range of the text.
    Word(Range<usize>),
    /// The spelling of the start (0) or the end (1) of text, and its byte range.
    Special(usize, Range<usize>),
}

/// Calls `take` with each pre-token of `text`, in order, until it breaks.
pub(crate) fn split(
    text: &str,
    profile: Profile,
    mut take: impl FnMut(PreToken) -> ControlFlow<()>,
) -> ControlFlow<()> {
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
        take(PreToken::Word(at..end))?;
        at = end;
    }
    ControlFlow::Continue(())
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
    take: &mut impl FnMut(PreToken) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if profile == Profile::Transformers {
        // tokenizers splits each pre-token once more, by GPT-2's pattern, into `<|`, the name and `|>`. Only a spelling
        // that is not the added token's own gets here, such as one in capitals.
        let Range { start, end } = special;
        take(PreToken::Word(start..start + 2))?;
        take(PreToken::Word(start + 2..end - 2))?;
        take(PreToken::Word(end - 2..end))
    } else if &text[special.clone()] == profile.pattern_specials()[which] {
        take(PreToken::Special(which, special))
    } else {
        // With a long s the pattern matches, but the lookup by spelling fails, and the whole is merged as one word.
        take(PreToken::Word(special))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pre_tokens(text: &str, profile: Profile) -> Vec<String> {
        let mut out = Vec::new();
        let _ = split(text, profile, |pre_token| {
            out.push(match pre_token {
                PreToken::Word(range) => text[range].to_owned(),
                PreToken::Special(which, _) => format!("#{which}"),
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
            assert_eq!(pre_tokens(text, Profile::Transformers), words);
        }
    }

    #[test]
    fn specials_by_profile() {
        assert_eq!(pre_tokens("<|endoftext|>!", Profile::Transformers), ["<|", "endoftext", "|>", "!"]);
        assert_eq!(pre_tokens("a<|endoftext|>!", Profile::OpenAi), ["a", "#1", "!"]);
        assert_eq!(pre_tokens("!<|endoftext|>", Profile::OpenAi), ["!<|", "endoftext", "|>"]);
        assert_eq!(pre_tokens("<start_of_text>", Profile::OpenClip), ["#0"]);
        assert_eq!(pre_tokens("<\u{17F}tart_of_text>", Profile::OpenClip), ["<\u{17F}tart_of_text>"]);
        assert_eq!(pre_tokens("<|\u{17F}tartoftext|>", Profile::OpenAi), ["<|\u{17F}tartoftext|>"]);
        assert_eq!(pre_tokens("<|xtartoftext|>", Profile::OpenAi), ["<|", "xtartoftext", "|>"]);
        assert_eq!(pre_tokens("<|\u{17F}ndoftext|>", Profile::OpenAi), ["<|", "\u{17F}ndoftext", "|>"]);
        assert_eq!(pre_tokens("x'\u{17F}", Profile::OpenClip), ["x", "'\u{17F}"]);
        assert_eq!(pre_tokens("x'\u{17F}", Profile::Transformers), ["x", "'", "\u{17F}"]);
    }
}
