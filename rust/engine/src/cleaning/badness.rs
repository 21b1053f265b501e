//! ftfy's test for mojibake: whether its regular expression over character classes matches anywhere, as an automaton.
//!
//! Every alternative of the expression is a short sequence of sets, so the automaton has about a hundred states. State 0
//! is the text's beginning; state 1 is a match.

use super::tables::Flags;

/// How many classes there are, then for each state the next by class.
static AUTOMATON: &[u8] = include_bytes!("../../data/cleaning/badness.bin");
const FOUND: u8 = 1;

/// Whether `text` looks like mojibake.
pub(super) fn is_bad(text: &str) -> bool {
    let (classes, next) = (usize::from(AUTOMATON[0]), &AUTOMATON[1..]);
    let mut state = 0;
    for c in text.chars() {
        state = next[usize::from(state) * classes + usize::from(Flags::of(c).badness_class())];
        if state == FOUND {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_bad;

    #[test]
    fn knows_mojibake_from_text() {
        for text in ["sÃ³", "â€™", "Ã  la", "x Â ", "\u{80}", "ВЂ\u{2122}x вЂ", "œ!"] {
            assert!(is_bad(text), "{text}");
        }
        for text in ["", "plain", "só", "naïve café", "œuvre", "œ", "Straße", "x Âx", "日本語"] {
            assert!(!is_bad(text), "{text}");
        }
    }
}
