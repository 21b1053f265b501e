//! Mojibake: text that was read in another encoding than it was written in, put right as ftfy does it.

use super::Work;
use super::badness::is_bad;
use super::bytes::{decode, replace_lossy, restore_a0};
use super::codecs::{CODECS, MACROMAN, encode, encoded, is_sloppy, possible, windows_1252};

/// The text with its encoding put right; `None` where it stays as it is.
pub(super) fn fix_encoding(text: &str, work: &mut Work) -> Option<String> {
    let mut fixed = step(text, work)?;
    while work.spend(&fixed)
        && let Some(next) = step(&fixed, work)
    {
        fixed = next;
    }
    (fixed != text).then_some(fixed)
}

/// One layer; `None` where nothing is left to do.
fn step(text: &str, work: &mut Work) -> Option<String> {
    if text.is_ascii() || !is_bad(text) {
        return None;
    }
    let codecs = possible(text);
    (0..CODECS)
        .filter(|codec| codecs >> codec & 1 != 0)
        .find_map(|codec| reread(text, codec))
        .or_else(|| fix_embedded(text, work))
        .or_else(|| fix_c1_controls(text))
        .filter(|fixed| fixed != text)
}

/// The text's bytes in a codec, read as UTF-8.
fn reread(text: &str, codec: usize) -> Option<String> {
    let mut bytes = encode(text, codec);
    if codec != MACROMAN {
        restore_a0(&mut bytes);
    }
    if is_sloppy(codec) {
        replace_lossy(&mut bytes);
    }
    decode(bytes)
}

/// Puts right what by itself looks like UTF-8 read in another encoding.
fn fix_embedded(text: &str, work: &mut Work) -> Option<String> {
    let mut out = String::new();
    let (mut from, mut at, mut before) = (0, 0, None);
    while let Some(c) = text[at..].chars().next() {
        let length =
            if before.is_some_and(|before| encoded(before).continues_strictly()) { 0 } else { sequences(&text[at..]) };
        if length == 0 {
            before = Some(c);
            at += c.len_utf8();
            continue;
        }
        let part = &text[at..at + length];
        if part.len() < text.len()
            && is_bad(part)
            && let Some(fixed) = fix_encoding(part, work)
        {
            out.push_str(&text[from..at]);
            out.push_str(&fixed);
            from = at + length;
        }
        before = part.chars().next_back();
        at += length;
    }
    out.push_str(&text[from..]);
    (from > 0).then_some(out)
}

/// How many bytes at the beginning of `text` are whole sequences of UTF-8, by the looks of their characters.
fn sequences(text: &str) -> usize {
    let mut end = 0;
    'next: loop {
        let mut characters = text[end..].chars();
        let Some(first) = characters.next() else { return end };
        for length in 2..=4 {
            if encoded(first).begins(length) {
                let mut bytes = first.len_utf8();
                let mut rest = characters.clone().take(length - 1);
                let follow =
                    rest.by_ref().take_while(|&c| encoded(c).continues()).map(|c| bytes += c.len_utf8()).count();
                if follow == length - 1 {
                    end += bytes;
                    continue 'next;
                }
            }
        }
        return end;
    }
}

fn is_c1(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9F}')
}

/// C1 controls as Windows-1252 has them.
fn fix_c1_controls(text: &str) -> Option<String> {
    let fix = |c| if is_c1(c) { windows_1252(c) } else { c };
    text.chars().any(is_c1).then(|| text.chars().map(fix).collect())
}
