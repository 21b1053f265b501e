//! `str.lower` and the white space of `str.split`, as Python has them.

use super::tables::Flags;
use crate::interrupt::poll;
use crate::unicode;

/// The text in lower case, with the final sigma where a word ends in one.
pub(super) fn lower(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        poll();
        if c == 'Σ' {
            out.push(if is_final(&text[..at], &text[at + c.len_utf8()..]) { 'ς' } else { 'σ' });
        } else if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else if Flags::of(c).lowers() {
            out.extend(unicode::lowercase(c).into_iter().flatten());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a sigma is the last letter of a word: a cased letter stands before it and none behind, whatever is passed over.
fn is_final(before: &str, behind: &str) -> bool {
    let is_cased = |c: Option<char>| c.is_some_and(|c| Flags::of(c).is_cased());
    let counts = |c: &char| !Flags::of(*c).is_case_ignorable();
    is_cased(before.chars().rev().find(counts)) && !is_cased(behind.chars().find(counts))
}

/// The text with one space for each run of white space, and none at its ends.
pub(super) fn join_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c| Flags::of(c).is_space()).filter(|word| !word.is_empty()) {
        poll();
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowers_as_python_does() {
        assert_eq!(lower("ΟΔΥΣΣΕΥΣ Σ ΑΣ'Α ΑΣ' İÉ"), "οδυσσευς σ ας'α ας' i\u{307}é".replace("ας'α", "ασ'α"));
        // The scan gives code points of two bytes their lower case without asking whether cleaning has done so.
        let upper = |c: &char| unicode::REGEX.get(*c).lowers();
        assert_eq!(
            ('\u{80}'..'\u{800}').flat_map(|c| lower(&c.to_string()).chars().collect::<Vec<_>>()).find(upper),
            None
        );
        assert_eq!(join_words("\u{3000}a \t\n b\x1Cc "), "a b c");
    }
}
