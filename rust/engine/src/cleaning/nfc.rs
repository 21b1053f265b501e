//! NFC as Python has it: Unicode 14, in time proportional to the text.

use super::tables::{Flags, character};
use crate::unicode;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

const LEADING: RangeInclusive<char> = '\u{1100}'..='\u{1112}';
const VOWELS: RangeInclusive<char> = '\u{1161}'..='\u{1175}';
const L: u32 = 0x1100;
const V: u32 = 0x1161;
const T: u32 = 0x11A7;
const S: u32 = 0xAC00;
const L_COUNT: u32 = 19;
const V_COUNT: u32 = 21;
const T_COUNT: u32 = 28;

struct Tables {
    decompositions: HashMap<char, (char, Option<char>)>,
    compositions: HashMap<(char, char), char>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let (mut decompositions, mut compositions) = (HashMap::new(), HashMap::new());
    for line in include_str!("../../data/cleaning/decompositions.txt").lines() {
        let mut words = line.split(' ').map(|word| if word == "!" { None } else { Some(character(word)) });
        let (Some(Some(c)), Some(Some(first)), second) = (words.next(), words.next(), words.next().flatten()) else {
            continue;
        };
        decompositions.insert(c, (first, second));
        if let (Some(second), None) = (second, words.next()) {
            compositions.insert((first, second), c);
        }
    }
    Tables { decompositions, compositions }
});

/// A character with its combining class, which is a rank that keeps the order.
type Ranked = (u16, char);

/// The text in NFC. Only runs are looked at more closely that have something to compose, to reorder or to replace.
pub(super) fn nfc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run: Vec<Ranked> = Vec::new();
    let mut plain: Option<char> = None; // the last starter, with which what follows may compose
    for c in text.chars() {
        if Flags::of(c).composes() {
            plain.take().into_iter().for_each(|starter| decompose(starter, &mut run));
            decompose(c, &mut run);
        } else {
            compose(&mut run, &mut out);
            out.extend(plain.replace(c));
        }
    }
    compose(&mut run, &mut out);
    out.extend(plain);
    out
}

/// Appends the canonical decomposition of a character.
fn decompose(c: char, out: &mut Vec<Ranked>) {
    let syllable = (c as u32).wrapping_sub(S);
    if syllable < L_COUNT * V_COUNT * T_COUNT {
        let (leading, vowel) = (syllable / (V_COUNT * T_COUNT), syllable / T_COUNT % V_COUNT);
        let trailing = Some(syllable % T_COUNT).filter(|&trailing| trailing > 0).map(|trailing| T + trailing);
        out.extend(
            [Some(L + leading), Some(V + vowel), trailing]
                .into_iter()
                .flatten()
                .filter_map(char::from_u32)
                .map(|c| (0, c)),
        );
    } else if let Some(&(first, second)) = TABLES.decompositions.get(&c) {
        decompose(first, out);
        if let Some(second) = second {
            decompose(second, out);
        }
    } else {
        out.push((unicode::REGEX.get(c).combining(), c));
    }
}

/// Reorders a decomposed run, composes it, and appends it to `out`.
fn compose(run: &mut Vec<Ranked>, out: &mut String) {
    for marks in run.split_mut(|&(rank, _)| rank == 0) {
        marks.sort_by_key(|&(rank, _)| rank);
    }
    let mut starter: Option<usize> = None; // where in `kept` the last one is
    let mut last = 0; // the rank of the last mark behind it that stays
    let mut kept: usize = 0;
    for i in 0..run.len() {
        let (rank, c) = run[i];
        if let Some(at) = starter
            && (last < rank || kept == at + 1)
            && let Some(composed) = pair(run[at].1, c)
        {
            run[at].1 = composed;
            continue;
        }
        if rank == 0 {
            (starter, last) = (Some(kept), 0);
        } else {
            last = rank;
        }
        run[kept] = (rank, c);
        kept += 1;
    }
    out.extend(run.drain(..).take(kept).map(|(_, c)| c));
}

/// What two characters compose to.
fn pair(first: char, second: char) -> Option<char> {
    let (a, b) = (first as u32, second as u32);
    if LEADING.contains(&first) && VOWELS.contains(&second) {
        return char::from_u32(S + ((a - L) * V_COUNT + (b - V)) * T_COUNT);
    }
    let syllable = a.wrapping_sub(S);
    if syllable < L_COUNT * V_COUNT * T_COUNT
        && syllable.is_multiple_of(T_COUNT)
        && (1..T_COUNT).contains(&b.wrapping_sub(T))
    {
        return char::from_u32(a + (b - T));
    }
    TABLES.compositions.get(&(first, second)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization_alignments::UnicodeNormalization;

    #[test]
    fn is_the_crates_nfc() {
        let texts = [
            "e\u{301}",
            "e\u{323}\u{301}x",
            "a\u{301}\u{323}",
            "\u{1100}\u{1161}\u{11A8}",
            "\u{AC00}\u{11A8}",
            "\u{AC00}\u{11A7}",
            "\u{212B}\u{958}",
            "\u{344}",
            "\u{301}a",
            "\u{9C7}\u{9BE}",
            "\u{1100}\u{1100}\u{1161}x\u{345}",
            "\u{F71}\u{F72}\u{F71}",
        ];
        for text in texts {
            assert_eq!(nfc(text), text.nfc().map(|(c, _)| c).collect::<String>(), "{text:?}");
        }
    }

    /// Every syllable of Hangul taken apart, and what stands just beyond the letters that make one.
    #[test]
    fn hangul() {
        for c in (S..S + L_COUNT * V_COUNT * T_COUNT).filter_map(char::from_u32) {
            let apart: String = c.to_string().nfd().map(|(c, _)| c).collect();
            assert_eq!((nfc(&apart), nfc(&c.to_string())), (c.to_string(), c.to_string()), "{apart:?}");
            let mut decomposed = Vec::new();
            decompose(c, &mut decomposed);
            assert!(decomposed.iter().map(|&(_, c)| c).eq(apart.chars()), "{c:?}");
        }
        let firsts = [L - 1, L + L_COUNT - 1, L + L_COUNT, S - 1, S, S + 1, S + L_COUNT * V_COUNT * T_COUNT];
        let seconds = [V - 1, V, V + V_COUNT - 1, V + V_COUNT, T - 1, T, T + 1, T + T_COUNT - 1, T + T_COUNT];
        for first in firsts.into_iter().filter_map(char::from_u32) {
            for second in seconds.into_iter().filter_map(char::from_u32) {
                let text = format!("{first}{second}");
                assert_eq!(nfc(&text), text.nfc().map(|(c, _)| c).collect::<String>(), "{text:?}");
            }
        }
    }
}
