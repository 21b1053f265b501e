//! HTML entities, as ftfy and as Python's `html.unescape` replace them.

use super::tables::characters;
use crate::interrupt::poll;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What the names stand for, as html has them: with their semicolons, and some without.
static NAMES: LazyLock<HashMap<&'static str, Named>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for line in include_str!("../../data/cleaning/entities.txt").lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let in_html = !name.starts_with('+');
        names.insert(name.trim_start_matches('+'), Named { text: characters(words), in_html });
    }
    names
});

/// What a name stands for.
struct Named {
    text: String,
    /// Whether html has it, rather than only ftfy, in capitals.
    in_html: bool,
}

/// The longest name without a semicolon.
const LONGEST_BARE: usize = 6;

/// Names and numbers with their semicolons, as ftfy replaces them; `None` where there are none.
pub(super) fn unescape_strictly(text: &str) -> Option<String> {
    replaced(text, strictly)
}

/// What ftfy makes of an ampersand, given what stands behind it.
fn strictly(behind: &str) -> Option<Replacement> {
    const LONGEST: usize = 24;
    let number = behind.strip_prefix('#');
    let digits = number.unwrap_or(behind).bytes().take(LONGEST).take_while(u8::is_ascii_alphanumeric).count();
    let length = digits + usize::from(number.is_some());
    if behind.as_bytes().get(length) != Some(&b';') {
        return None;
    }
    let name = &behind[..=length];
    let taken = name.len();
    match number {
        None => NAMES.get(name).map(|named| Replacement::Text { text: &named.text, taken }),
        // All of it, or nothing; and a semicolon stays.
        Some(_) => numbered(name).filter(|found| found.taken() == taken && !found.is(';')),
    }
}

/// Shortens chains like `&amp;amp;amp;lt;`, of which [`unescape_strictly`] unfolds one level a pass, by as many levels as
/// many passes would. `None` where there is anything else to unescape, or nothing to shorten.
///
/// For a text of which only entities are left to be changed: until the shortest chain ends, a pass does nothing else. At
/// least two levels stay, and levels of one kind, so that no step sees beside a chain what it has not seen before.
pub(super) fn shorten_chains(text: &str) -> Option<String> {
    const KEPT: usize = 2;
    let any_kind = text.is_ascii();
    let mut chains = Vec::new();
    for (at, _) in text.match_indices('&') {
        let behind = at + 1;
        let kind = text[behind..].starts_with('#');
        let mut end = behind;
        let mut levels = Vec::new(); // where each ends
        while let Some(found) = strictly(&text[end..]) {
            if !found.is('&') || !any_kind && text[end..].starts_with('#') != kind {
                break;
            }
            end += found.taken();
            levels.push(end);
        }
        if !levels.is_empty() {
            chains.push((behind, levels));
        } else if strictly(&text[behind..]).is_some() {
            return None;
        }
    }
    let fewer = chains.iter().map(|(_, levels)| levels.len()).min()?.checked_sub(KEPT + 1)?;
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (behind, levels) in chains {
        out.push_str(&text[from..behind]);
        from = levels[fewer];
    }
    Some(out + &text[from..])
}

/// All that Python's `html.unescape` replaces; `None` where there is nothing.
///
/// Python 3.11 refuses numbers of more than 4,300 digits. They are too large for a character, and become U+FFFD here.
pub(super) fn unescape(text: &str) -> Option<String> {
    replaced(text, |rest| {
        const LONGEST: usize = 32;
        if rest.starts_with('#') {
            return numbered(rest);
        }
        let in_name = |c: char| !matches!(c, '\t' | '\n' | '\x0C' | ' ' | '<' | '&' | '#' | ';');
        let bare: usize = rest.chars().take(LONGEST).take_while(|&c| in_name(c)).map(char::len_utf8).sum();
        if bare == 0 {
            return None;
        }
        let named = |length: usize| {
            let text = &NAMES.get(rest.get(..length)?).filter(|named| named.in_html)?.text;
            Some(Replacement::Text { text, taken: length })
        };
        let closed = bare + usize::from(rest[bare..].starts_with(';'));
        named(closed).or_else(|| (2..=LONGEST_BARE.min(closed - 1)).rev().find_map(named))
    })
}

/// What an entity becomes, and how many bytes behind the ampersand belong to it.
enum Replacement {
    Text { text: &'static str, taken: usize },
    Character { character: Option<char>, taken: usize },
}

impl Replacement {
    fn taken(&self) -> usize {
        match *self {
            Self::Text { taken, .. } | Self::Character { taken, .. } => taken,
        }
    }

    fn is(&self, wanted: char) -> bool {
        match *self {
            Self::Text { text, .. } => text.chars().eq([wanted]),
            Self::Character { character, .. } => character == Some(wanted),
        }
    }
}

/// Calls `find` with what stands behind each ampersand.
fn replaced(text: &str, find: impl Fn(&str) -> Option<Replacement>) -> Option<String> {
    let mut out = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(ampersand) = text[at..].find('&') {
        poll();
        let ampersand = at + ampersand;
        at = ampersand + 1;
        if let Some(found) = find(&text[at..]) {
            out.push_str(&text[from..ampersand]);
            match found {
                Replacement::Text { text, .. } => out.push_str(text),
                Replacement::Character { character, .. } => out.extend(character),
            }
            at += found.taken();
            from = at;
        }
    }
    (from > 0).then(|| out + &text[from..])
}

/// A character by its number: `#38;`, `#x26`.
fn numbered(text: &str) -> Option<Replacement> {
    let (digits, radix) = match text.as_bytes() {
        [b'#', b'x' | b'X', ..] => (2, 16),
        _ => (1, 10),
    };
    let mut number = 0_u32;
    let mut taken = digits;
    for digit in text[digits..].chars().map_while(|c| c.to_digit(radix)) {
        number = number.saturating_mul(radix).saturating_add(digit);
        taken += 1;
    }
    if taken == digits {
        return None;
    }
    taken += usize::from(text[taken..].starts_with(';'));
    Some(Replacement::Character { character: by_number(number), taken })
}

/// The character of a number, by the rules of HTML 5 as Python has them: C1 controls are Windows-1252's, other controls
/// and what is no character are nothing.
fn by_number(number: u32) -> Option<char> {
    match number {
        0 => Some('\u{FFFD}'),
        0x80..=0x9F => char::from_u32(number).map(super::codecs::windows_1252),
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0xFDD0..=0xFDEF => None,
        _ if number & 0xFFFE == 0xFFFE && number <= 0x10_FFFF => None,
        _ => Some(char::from_u32(number).unwrap_or('\u{FFFD}')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_as_ftfy_does() {
        let cases = [
            ("P&eacute;rez &EACUTE; &SZLIG;", "Pérez É SS"),
            ("&amp;amp; &#38; &#x2019; &#59;", "&amp; & \u{2019} &#59;"),
            ("&#1;&#0;&#x110000;&#128;", "\u{FFFD}\u{FFFD}\u{20AC}"),
            ("&NotEqualTilde;", "\u{2242}\u{338}"),
        ];
        for (text, wanted) in cases {
            assert_eq!(unescape_strictly(text).as_deref(), Some(wanted));
        }
        for text in ["&amp", "& amp;", "&#;", "&#12ab;", "&nTILDE;", "&CounterClockwiseContourIntegral;", "plain"] {
            assert_eq!(unescape_strictly(text), None, "{text}");
        }
    }

    #[test]
    fn replaces_as_python_does() {
        let cases = [
            ("&amp &notit; &not; &ampx", "& \u{AC}it; \u{AC} &x"),
            ("&#38 &#x26 &#X26;&#59;", "& & &;"),
            ("&CounterClockwiseContourIntegral;", "\u{2233}"),
        ];
        for (text, wanted) in cases {
            assert_eq!(unescape(text).as_deref(), Some(wanted));
        }
        for text in ["&EACUTE;", "&x", "& amp", "&#", "&#x", "&;"] {
            assert_eq!(unescape(text), None, "{text}");
        }
        assert_eq!(unescape(&format!("&#{};", "9".repeat(5000))).as_deref(), Some("\u{FFFD}"));
    }

    #[test]
    fn shortens_chains_as_passes_do() {
        let passes = |text: &str, count: usize| {
            (0..count).fold(text.to_owned(), |text, _| unescape_strictly(&text).expect("levels are left"))
        };
        for text in ["&amp;amp;amp;amp;lt;", "x&AMP;amp;#38;amp;amp;y &amp;amp;amp;amp;", "\u{e9}&#38;#38;#038;#38;"] {
            let shortened = shorten_chains(text).expect("there are enough levels");
            assert!((1..9).any(|count| passes(text, count) == shortened), "{text}: {shortened}");
        }
        for text in ["&amp;amp;", "plain", "&amp;amp;amp;amp; &lt;", "\u{e9}&amp;#38;amp;#38;amp;"] {
            assert_eq!(shorten_chains(text), None, "{text}");
        }
    }
}
