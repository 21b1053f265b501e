//! The scan of text beyond ASCII. The steps of the ASCII scan classify the ASCII bytes; the characters beyond it are looked
//! up one by one, and set their bits in the same masks.

use super::{BLOCK, GAP, Masks, ROOM, STARTS_PADDING, Scan, Size, StepTask, Steps};
use crate::added_tokens::TokenStarts;
use crate::instructions::{Instructions, Set, Task};
use crate::profile::Profile;
use crate::unicode::{Class, Marks, lowercase};
use crate::words::join_contractions;

/// What decides how a text is scanned.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'e> {
    pub(crate) token_starts: &'e TokenStarts,
    pub(crate) profile: Profile,
    /// Whether NFC might change a text.
    pub(crate) checks_nfc: bool,
    /// Whether letters get their lower case. Where cleaning has given it, a letter that has one nonetheless keeps its case,
    /// since it is of a newer Unicode than cleaning's: the scan leaves texts with such a letter alone.
    pub(crate) lowers: bool,
}

impl Scan {
    /// Appends the words of `text[..end]`, which ends where the text does or before white space, and in which no added token
    /// begins beyond ASCII. Returns false, with the words as they were, where it holds NUL or something that NFC may change,
    /// a special or an added token may begin, or there is no room.
    #[inline(never)]
    pub(crate) fn append_unicode(
        &mut self,
        text: &str,
        end: usize,
        rules: Rules<'_>,
        instructions: Instructions,
    ) -> bool {
        struct Append<'a>(&'a mut Scan, &'a str, usize, Rules<'a>);
        impl Task for Append<'_> {
            type Output = bool;

            #[inline(always)]
            fn run<S: Set>(self) -> bool {
                super::run_steps::<S, _>(&self.3.token_starts.stops, self)
            }
        }
        impl StepTask for Append<'_> {
            type Output = bool;

            #[inline(always)]
            fn run<const STEP: usize>(self, steps: &impl Steps<STEP>) -> bool {
                let Self(scan, text, end, rules) = self;
                let before = scan.size;
                let done = scan.append_unicode_with(text, end, rules, steps).is_some();
                if !done {
                    scan.truncate(before);
                }
                done
            }
        }
        instructions.run_task(Append(self, text, end, rules))
    }

    #[inline(always)]
    #[allow(clippy::too_many_lines)] // one loop, whose state stays in registers
    fn append_unicode_with<const STEP: usize>(
        &mut self,
        text: &str,
        end: usize,
        rules: Rules<'_>,
        steps: &impl Steps<STEP>,
    ) -> Option<()> {
        let Size { bytes: base, words: before } = self.size;
        let (all, table) = (text.as_bytes(), rules.profile.table());
        let bytes = all.get(..end)?;
        if base + end + GAP > ROOM {
            return None;
        }
        let mut words = before;
        let (mut was_letter, mut was_word) = (0, 0); // whether the last byte was one, for the next step
        let mut has_apostrophe = false;
        let mut marks = Marks::default();
        let (mut at, mut to) = (0, base);
        while at < bytes.len() {
            let lower: &mut [u8; STEP] = self.lower.get_mut(to..)?.first_chunk_mut()?;
            let Masks { mut letters, mut digits, mut spaces, stops: mut left } =
                steps.classify_first(&bytes[at..], lower);
            // Ends before a character that does not fit.
            let mut length = STEP.min(bytes.len() - at);
            while !text.is_char_boundary(at + length) {
                length -= 1;
            }
            left &= u64::MAX >> (64 - length);
            // A character whose lower case has another number of bytes, which begins the step.
            let mut other = None;
            while left != 0 {
                let here = left.trailing_zeros() as usize;
                // Most characters are letters or others that need no more than this.
                let [first, second, third] = [0, 1, 2].map(|i| lower[(here + i) & (STEP - 1)]);
                let count = match first {
                    0xC0..0xE0 => {
                        left &= left - 1;
                        left &= left.wrapping_sub(1);
                        if let Some((character, letter_bits)) = table.two_bytes(first, second).simple() {
                            [lower[here & (STEP - 1)], lower[(here + 1) & (STEP - 1)]] = character;
                            letters |= letter_bits << here;
                            continue;
                        }
                        2
                    }
                    0xE0..0xF0 => {
                        left &= u64::MAX << here << 3;
                        let properties = table.three_bytes(first, second, third);
                        if let Some(is_letter) = properties.simple(rules.checks_nfc) {
                            let combining = properties.combining();
                            if rules.checks_nfc && combining != 0 && !marks.follows(at + here, 3, combining) {
                                return None;
                            }
                            letters |= (7 * u64::from(is_letter)) << here;
                            continue;
                        }
                        3
                    }
                    0xF0.. => {
                        left &= u64::MAX << here << 4;
                        4
                    }
                    _ => {
                        // White space is zero here already.
                        let rest = all.get(at + here..).unwrap_or_default();
                        if rest.first() == Some(&0) || rules.token_starts.may_begin(rest) {
                            return None;
                        }
                        has_apostrophe |= first == b'\'';
                        left &= left - 1;
                        continue;
                    }
                };
                let (class, changed) = character(text, at + here, rules, &mut marks)?;
                match changed {
                    Changed::Not => {}
                    Changed::Same(new) => lower[here..here + count].copy_from_slice(&new[..count]),
                    Changed::Other(new) => {
                        if here == 0 {
                            other = Some((count, new));
                        }
                        length = here;
                        break;
                    }
                }
                let all = (1 << count) - 1;
                match class {
                    Class::Letter => letters |= all << here,
                    Class::Other => {}
                    // One begins a word of its own, in which nothing else begins.
                    Class::Number => (digits, spaces) = (digits | 1 << here, spaces | (all - 1) << here),
                    Class::Space => {
                        spaces |= all << here;
                        lower[here..here + count].fill(0);
                    }
                }
            }
            if let Some((count, new)) = other {
                Run { to, words, was_letter, was_word } =
                    self.append_other(new, Run { to, words, was_letter, was_word }, rules)?;
                at += count;
                if to + (bytes.len() - at) + GAP > ROOM {
                    return None;
                }
                continue;
            }
            let starts: &mut [u16; BLOCK] = self.starts.get_mut(words..)?.first_chunk_mut()?;
            // As in the ASCII scan.
            let in_words = !(digits | spaces) & u64::MAX >> (64 - length);
            let (after_letter, after_word) = (letters << 1 | was_letter, in_words << 1 | was_word);
            let begin = (digits | in_words & !(after_word & !(after_letter ^ letters))) & u64::MAX >> (64 - length);
            (was_letter, was_word) = (letters >> (length - 1) & 1, in_words >> (length - 1) & 1);
            steps.list::<8>(begin, to as u16, starts);
            words += begin.count_ones() as usize;
            (at, to) = (at + length, to + length);
        }
        if has_apostrophe {
            let starts = self.starts.get_mut(before..words)?;
            words = before + join_contractions(starts, to, &self.lower, rules.profile.cleans());
        }
        self.end_at(to, words)
    }

    /// Appends a character whose lower case has another number of bytes.
    #[cold]
    fn append_other(&mut self, new: [Option<char>; 2], mut run: Run, rules: Rules<'_>) -> Option<Run> {
        for c in new.into_iter().flatten() {
            let (is_letter, is_word) = match rules.profile.table().get(c).class() {
                Class::Letter => (1, 1),
                Class::Other => (0, 1),
                Class::Number | Class::Space => return None, // no lower case is one
            };
            if run.was_word == 0 || run.was_letter != is_letter {
                *self.starts.get_mut(run.words)? = run.to as u16;
                run.words += 1;
            }
            let end = run.to + c.len_utf8();
            c.encode_utf8(self.lower.get_mut(run.to..end)?);
            run = Run { to: end, was_letter: is_letter, was_word: is_word, ..run };
        }
        Some(run)
    }

    /// Ends a text at `to`, with so many words.
    fn end_at(&mut self, to: usize, words: usize) -> Option<()> {
        *self.starts.get_mut(words)? = to as u16;
        *self.starts.get_mut(words + 1)? = STARTS_PADDING;
        self.lower.get_mut(to..to + GAP)?.fill(0);
        self.size = Size { bytes: to + GAP, words };
        Some(())
    }
}

/// How far a scan has come, and whether the last byte belongs to a letter and to a word.
struct Run {
    to: usize,
    words: usize,
    was_letter: u64,
    was_word: u64,
}

/// What lower case makes of a character.
enum Changed {
    Not,
    /// As many bytes.
    Same([u8; 4]),
    /// Another number of bytes.
    Other([Option<char>; 2]),
}

/// The class of any character beyond ASCII, and its lower case. `None` where NFC may change the text.
#[inline(never)]
fn character(text: &str, at: usize, rules: Rules<'_>, marks: &mut Marks) -> Option<(Class, Changed)> {
    let c = text.get(at..)?.chars().next()?;
    let table = rules.profile.table();
    let properties = table.get(c);
    if rules.checks_nfc {
        let combining = properties.combining();
        if combining != 0 && !marks.follows(at, c.len_utf8(), combining) {
            return None;
        }
        if properties.composes() && !table.stays_in_nfc(text[..at].chars().next_back(), c) {
            return None;
        }
    }
    if !properties.lowers() {
        return Some((properties.class(), Changed::Not));
    }
    if !rules.lowers {
        return None;
    }
    let new = lowercase(c);
    let [Some(first), None] = new else { return Some((properties.class(), Changed::Other(new))) };
    if first.len_utf8() != c.len_utf8() {
        return Some((properties.class(), Changed::Other(new)));
    }
    let mut bytes = [0; 4];
    first.encode_utf8(&mut bytes);
    Some((table.get(first).class(), Changed::Same(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::GO_ON;
    use crate::engine::Engine;
    use crate::normalise::normalise_into;
    use crate::split::{PreToken, split};
    use crate::word_loop::first_word;
    use proptest::prelude::*;

    /// The words of a text, one character after the other.
    fn twin(text: &str, profile: Profile) -> Vec<Vec<u8>> {
        let (mut lower, mut words) = (String::new(), Vec::new());
        normalise_into(&mut lower, text, profile);
        let _ = split(&lower, profile, |pre_token| {
            if let PreToken::Word(range) = pre_token {
                words.push(lower.as_bytes()[range].to_vec());
            }
            GO_ON
        });
        words
    }

    /// What a scan makes of several texts behind one another; `None` for those that it leaves alone.
    fn scanned(engine: &Engine, texts: &[&str]) -> Vec<Option<Vec<Vec<u8>>>> {
        let (mut scan, mut words) = (Scan::default(), 0);
        let of_each = |text: &&str| {
            let taken = engine.append_unicode(&mut scan, text, text.len(), true).then(|| {
                let limits = scan.words()[words..].windows(2).map(|limits| [limits[0], limits[1]].map(usize::from));
                limits.map(|[start, limit]| first_word(&scan.lower()[start..limit]).to_vec()).collect()
            });
            words = scan.size().words;
            taken
        };
        texts.iter().map(of_each).collect()
    }

    fn engines() -> impl Iterator<Item = Engine> {
        let of_profile = |(_, profile)| (0..).map_while(move |number| Engine::clip(profile).with_instructions(number));
        Profile::NAMES.into_iter().flat_map(of_profile)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// Words of one to many characters, of one to four bytes each, around the ends of steps.
        #[test]
        fn words_are_those_of_the_twin(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-cA-C]{1,40}", "[\u{df}\u{e9}\u{c9}\u{430}-\u{433}\u{410}-\u{413}]{1,25}", "[\u{e01}-\u{e05}\u{4e00}-\u{4e05}\u{1f600}-\u{1f603}]{1,12}",
                    "[0-9\u{b2}\u{660}-\u{662}\u{2160}]{1,3}", "[!,\u{bf}\u{2014}\u{301}\u{327}]{1,3}", "[ \t\u{a0}\u{3000}]{1,2}",
                    "'(s|LL|\u{e9})", "[\u{130}\u{1e9e}\u{2c6f}]", "[e\u{3b1}]\u{301}",
                ],
                0..30,
            ),
        ) {
            let text = parts.concat();
            for engine in engines() {
                let expected = twin(&text, engine.profile());
                for found in scanned(&engine, &[&text, &text]).into_iter().flatten() {
                    prop_assert_eq!(&found, &expected);
                }
            }
        }
    }

    #[test]
    fn most_texts_are_scanned() {
        let texts = [
            "caf\u{e9} cr\u{e8}me, don't you think? 12 \u{20ac}",
            "\u{41c}\u{43e}\u{441}\u{43a}\u{432}\u{430} \u{2014} \u{441}\u{442}\u{43e}\u{43b}\u{438}\u{446}\u{430}",
            "\u{4f60}\u{597d}\u{ff0c}\u{4e16}\u{754c} \u{1f600}",
            "\u{e2a}\u{e27}\u{e31}\u{e2a}\u{e14}\u{e35} \u{130}stanbul",
        ];
        for engine in engines() {
            let expected: Vec<_> = texts.iter().map(|text| Some(twin(text, engine.profile()))).collect();
            assert_eq!(scanned(&engine, &texts), expected);
            let end = engine.token(engine.start_and_end()[1]).unwrap_or_default();
            let left_alone = ["caf\u{e9}\0".to_owned(), format!("caf\u{e9} {end}")];
            assert_eq!(scanned(&engine, &[&left_alone[0], &left_alone[1]]), [None, None], "{:?}", engine.profile());
        }
    }
}
