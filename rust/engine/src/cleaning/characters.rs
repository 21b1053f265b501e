//! Characters that ftfy replaces or removes by themselves, line breaks, and the escapes of terminals.

use super::tables::{Flags, character, characters};
use std::sync::LazyLock;

static REPLACEMENTS: LazyLock<Vec<(char, String)>> = LazyLock::new(|| {
    let lines = include_str!("../../data/cleaning/replacements.txt").lines();
    lines.filter_map(|line| line.split_once(' ')).map(|(c, s)| (character(c), characters(s.split(' ')))).collect()
});

/// C1 controls, ligatures, wide and narrow forms, quotes and line breaks, in their usual forms. A carriage return before a
/// line feed goes.
pub(super) fn replace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\r' {
            characters.next_if_eq(&'\n');
            out.push('\n');
        } else if Flags::of(c).is_replaced()
            && let Ok(at) = REPLACEMENTS.binary_search_by_key(&c, |&(from, _)| from)
        {
            out.push_str(&REPLACEMENTS[at].1);
        } else {
            out.push(c);
        }
    }
    out
}

/// Takes the ANSI escapes of terminals out: `ESC [`, digits and semicolons, a letter. A digit may be any script's.
pub(super) fn remove_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1B[") {
        let (before, behind) = (&rest[..at], &rest[at + 2..]);
        out.push_str(before);
        let end = behind.find(|c: char| c != ';' && !Flags::of(c).is_digit()).unwrap_or(behind.len());
        if behind[end..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            rest = &behind[end + 1..];
        } else {
            out.push_str(&rest[at..at + 2 + end]);
            rest = &behind[end..];
        }
    }
    out + rest
}

/// Takes control characters out that nobody means to write.
pub(super) fn remove_controls(text: &str) -> String {
    text.chars().filter(|&c| !Flags::of(c).is_removed()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_removes() {
        let text = "\u{FB01}\u{149}\u{FF21}\u{3000}\u{201C}\u{2019}\r\n\r\u{2028}\u{85}\u{FF9E}";
        assert_eq!(replace(text), "fi'nA \"'\n\n\n\u{2026}\u{3099}");
        assert_eq!(remove_escapes("\x1B[36;44mI\x1B[0m\x1B[;\u{661}x \x1B[1 \x1B[\x1B[1m"), "I \x1B[1 \x1B[");
        assert_eq!(remove_controls("a\0\x0B\x0C\t\u{FEFF}\u{206A}b\x7F\u{200D}"), "a\x0C\tb\u{200D}");
    }
}
