//! The scan of short ASCII texts as one, right behind each other: whole blocks, whatever the texts' lengths, which no
//! branch has to guess.

use super::{BLOCK, GAP, MASK, Masks, ROOM, STARTS_PADDING, Scan, Size, StepTask, Steps, run_steps};
use crate::added_tokens::TokenStarts;
use crate::instructions::Set;
use crate::words::contraction;

const BLOCKS: usize = (MASK + 1) / BLOCK;
/// From each offset a whole block can be read.
const BYTES: usize = ROOM + 2 * BLOCK;

/// A text of a [`Joined`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// Which text of the chunk it is.
    pub(crate) number: usize,
    /// Where it ends: in the bytes, once it is scanned in the words.
    pub(crate) end: usize,
}

/// ASCII texts, copied one right behind the other, to be scanned as one. The bytes stand first, so that blocks are cache lines.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Joined {
    bytes: [u8; BYTES],
    /// Where the first text that is not scanned yet begins in the bytes, which is where the scan has come to.
    begin: usize,
    end: usize,
    /// At which bytes of each block words start.
    starts: [u64; BLOCKS],
    /// The bytes of each block to look at, see [`Masks`].
    stops: [u64; BLOCKS],
    /// The words up to each block.
    words: [u16; BLOCKS],
}

impl Default for Joined {
    fn default() -> Self {
        Self { bytes: [0; BYTES], begin: 0, end: 0, starts: [0; BLOCKS], stops: [0; BLOCKS], words: [0; BLOCKS] }
    }
}

impl Joined {
    /// Where the last text ends.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Goes on behind what was scanned.
    #[inline(always)]
    pub(crate) fn begin_at(&mut self, begin: usize) {
        (self.begin, self.end) = (begin, begin);
    }

    /// Adds a text for which there is room, unless it is not ASCII.
    #[inline(always)]
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        let Some(to) = self.bytes.get_mut(self.end..self.end + text.len()) else { return false };
        // The lengths of nearly all texts, in a fixed number of lanes, which overlap.
        let is_ascii = match text.len() {
            32..=128 => copy_lanes::<32, 4>(to, text),
            16..=31 => copy_lanes::<16, 2>(to, text),
            _ => {
                to.copy_from_slice(text);
                text.is_ascii()
            }
        };
        self.end += if is_ascii { text.len() } else { 0 };
        is_ascii
    }

    /// Scans the texts that were added since the last time and appends their words. `texts` are these; of those in which
    /// there is NUL, or a special or an added token may begin, the numbers are appended to `stopped`, and they get no words.
    #[inline(always)]
    pub(crate) fn scan<S: Set>(
        &mut self,
        scan: &mut Scan,
        token_starts: &TokenStarts,
        texts: &mut [Text],
        stopped: &mut Vec<usize>,
    ) {
        struct Run<'a>(&'a mut Joined, &'a mut Scan, &'a TokenStarts, &'a mut [Text], &'a mut Vec<usize>);
        impl StepTask for Run<'_> {
            type Output = ();

            #[inline(always)]
            fn run<const STEP: usize>(self, steps: &impl Steps<STEP>) {
                let Self(joined, scan, token_starts, texts, stopped) = self;
                joined.scan_with(scan, token_starts, texts, stopped, steps);
            }
        }
        run_steps::<S, _>(&token_starts.stops, Run(self, scan, token_starts, texts, stopped));
    }

    #[inline(always)]
    fn scan_with<const STEP: usize>(
        &mut self,
        scan: &mut Scan,
        token_starts: &TokenStarts,
        texts: &mut [Text],
        stopped: &mut Vec<usize>,
        steps: &impl Steps<STEP>,
    ) {
        let (begin, end) = (self.begin, self.end);
        if let Some(behind) = self.bytes.get_mut(end..).and_then(<[u8]>::first_chunk_mut::<BLOCK>) {
            *behind = [b' '; BLOCK];
        }
        let blocks = (end - begin).div_ceil(BLOCK).min(BLOCKS - 1);
        let (mut was_letter, mut was_word, mut any_stop) = (0, 0, 0);
        let (bytes, lower) = (&self.bytes[begin..], &mut scan.lower[begin..]);
        for (((bytes, lower), starts), all_stops) in bytes
            .as_chunks()
            .0
            .iter()
            .zip(lower.as_chunks_mut().0)
            .zip(&mut self.starts)
            .zip(&mut self.stops)
            .take(blocks)
        {
            let Masks { letters, digits, spaces, stops } = classify_block(steps, bytes, lower);
            // As in the scan of a single text.
            let in_words = !(digits | spaces);
            let (after_letter, after_word) = (letters << 1 | was_letter, in_words << 1 | was_word);
            *starts = digits | in_words & !(after_word & !(after_letter ^ letters));
            (was_letter, was_word) = (letters >> (BLOCK - 1), in_words >> (BLOCK - 1));
            *all_stops = stops;
            any_stop |= stops;
        }
        self.starts[blocks] = 0;
        // A text's first byte starts a word, unless it is white space.
        let mut at = 0;
        for text in &*texts {
            let is_word = scan.lower[(begin + at) & MASK] != 0;
            self.starts[(at / BLOCK) & (BLOCKS - 1)] |= u64::from(is_word) << (at % BLOCK);
            at = text.end - begin;
        }
        if any_stop != 0 {
            self.examine_stops(&mut scan.lower, blocks, token_starts, texts, stopped);
        }
        let mut words = scan.size.words;
        for block in 0..blocks {
            let starts = self.starts[block & (BLOCKS - 1)];
            self.words[block & (BLOCKS - 1)] = words as u16;
            let Some(list) = scan.starts[words & MASK..].first_chunk_mut() else { break }; // never
            steps.list::<16>(starts, (begin + block * BLOCK) as u16, list);
            words += starts.count_ones() as usize;
        }
        self.words[blocks] = words as u16;
        for text in texts {
            let at = text.end - begin;
            let (block, bits) = ((at / BLOCK) & (BLOCKS - 1), (1 << (at % BLOCK)) - 1);
            text.end = usize::from(self.words[block]) + (self.starts[block] & bits).count_ones() as usize;
        }
        if let Some(behind) = scan.lower.get_mut(end..end + GAP) {
            behind.fill(0);
        }
        if let Some(behind) = scan.starts.get_mut(words..words + 2) {
            behind.copy_from_slice(&[end as u16, STARTS_PADDING]);
        }
        scan.size = Size { bytes: end + GAP, words };
        self.begin_at(end + GAP);
    }

    /// Joins contractions, and takes the words from texts that must be encoded singly.
    #[cold]
    #[inline(never)]
    fn examine_stops(
        &mut self,
        lower: &mut [u8],
        blocks: usize,
        token_starts: &TokenStarts,
        texts: &[Text],
        stopped: &mut Vec<usize>,
    ) {
        let begin = self.begin;
        for block in 0..blocks {
            let mut stops = self.stops[block];
            while stops != 0 {
                let at = block * BLOCK + stops.trailing_zeros() as usize;
                stops &= stops - 1;
                let which = texts.partition_point(|text| text.end - begin <= at);
                let Some(&Text { number, end }) = texts.get(which) else { continue };
                let (end, rest) = (end - begin, &self.bytes[begin + at..end]);
                if rest[0] == 0 || token_starts.may_begin(rest) {
                    if stopped.last() != Some(&number) {
                        stopped.push(number);
                    }
                } else if rest[0] == b'\'' && self.is_start(at) && at + 1 < end && self.is_start(at + 1) {
                    let letters = &lower[begin + at + 1..begin + end];
                    if let Some(length) = contraction(letters, false) {
                        self.set_start(at + 1, false);
                        if letters.get(length).is_some_and(|&byte| byte != 0) {
                            self.set_start(at + 1 + length, true);
                        }
                    }
                }
            }
        }
        for &number in &*stopped {
            let Some(which) = texts.iter().position(|text| text.number == number) else { continue };
            let from = which.checked_sub(1).map_or(begin, |before| texts[before].end);
            (from..texts[which].end).for_each(|at| self.set_start(at - begin, false));
            lower[from..texts[which].end].fill(0); // so that the word before it ends where it did
        }
    }

    fn is_start(&self, at: usize) -> bool {
        self.starts[at / BLOCK] >> (at % BLOCK) & 1 == 1
    }

    fn set_start(&mut self, at: usize, is_start: bool) {
        let (starts, bit) = (&mut self.starts[at / BLOCK], 1 << (at % BLOCK));
        *starts = *starts & !bit | if is_start { bit } else { 0 };
    }
}

/// Copies a text of `LANE` to `LANE * COUNT` bytes. Returns whether it is ASCII.
#[inline(always)]
fn copy_lanes<const LANE: usize, const COUNT: usize>(to: &mut [u8], text: &[u8]) -> bool {
    let Some(last) = text.len().checked_sub(LANE) else { return false }; // never
    let mut all = 0;
    for lane in 0..COUNT {
        let at = last.min(lane * LANE);
        let (Some(from), Some(to)) = (text[at..].first_chunk::<LANE>(), to[at..].first_chunk_mut()) else {
            return false; // never
        };
        *to = *from;
        all |= from.as_chunks().0.iter().fold(0, |all, &bytes| all | u64::from_le_bytes(bytes));
    }
    all & 0x8080_8080_8080_8080 == 0
}

#[inline(always)]
fn classify_block<const STEP: usize>(steps: &impl Steps<STEP>, bytes: &[u8; BLOCK], lower: &mut [u8; BLOCK]) -> Masks {
    let mut all = Masks::default();
    for (step, (bytes, lower)) in bytes.as_chunks().0.iter().zip(lower.as_chunks_mut().0).enumerate() {
        let Masks { letters, digits, spaces, stops } = steps.classify(bytes, lower);
        let shift = step * STEP;
        all.letters |= letters << shift;
        all.digits |= digits << shift;
        all.spaces |= spaces << shift;
        all.stops |= stops << shift;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::{Instructions, Task};
    use crate::profile::Profile;
    use crate::scan::{MASK, SEGMENT, ScanEnd};
    use proptest::prelude::*;

    fn token_starts() -> TokenStarts {
        TokenStarts::new(&[], Profile::Transformers)
    }

    /// The words from `from` to `to` of a scan.
    fn words(scan: &Scan, from: usize, to: usize) -> Vec<String> {
        let word = |n: usize| {
            let [start, limit] = [n, n + 1].map(|n| usize::from(scan.starts[n]));
            let word = scan.lower[start..limit].split(|&byte| byte == 0).next().unwrap_or_default();
            String::from_utf8(word.to_vec()).unwrap()
        };
        (from..to).map(word).collect()
    }

    struct All<'t>(&'t [Vec<String>]);

    impl Task for All<'_> {
        type Output = Vec<Option<Vec<String>>>;

        /// The words of all texts, of which each group is scanned at once; `None` for those that were stopped at.
        fn run<S: Set>(self) -> Self::Output {
            let (mut scan, mut joined, mut all) = (Scan::default(), Joined::default(), Vec::new());
            for group in self.0 {
                let (mut texts, mut stopped) = (Vec::new(), Vec::new());
                for (number, text) in group.iter().enumerate() {
                    assert!(joined.push(text.as_bytes()));
                    texts.push(Text { number, end: joined.end() });
                }
                let mut from = scan.size().words;
                joined.scan::<S>(&mut scan, &token_starts(), &mut texts, &mut stopped);
                for &Text { number, end } in &texts {
                    all.push((!stopped.contains(&number)).then(|| words(&scan, from, end)));
                    assert!(!stopped.contains(&number) || end == from);
                    from = end;
                }
                assert_eq!(from, scan.size().words);
            }
            all
        }
    }

    /// The words of a text by itself.
    fn alone(text: &str) -> Option<Vec<String>> {
        let mut scan = Scan::default();
        let end = scan.append(text.as_bytes(), SEGMENT, &token_starts(), Instructions::Plain);
        (end == ScanEnd::End).then(|| words(&scan, 0, scan.size().words))
    }

    fn check(groups: &[Vec<String>]) {
        let expected: Vec<_> = groups.iter().flatten().map(|text| alone(text)).collect();
        for instructions in Instructions::available() {
            assert_eq!(instructions.run_task(All(groups)), expected, "{groups:?}");
        }
    }

    #[test]
    fn texts_do_not_touch_each_other() {
        let texts = ["it'", "s", "", "dog", "<|x", "cat", "'", "'ll", "", " ", "!", "'s", "a\0", "b'r", "e", "1", "2'"];
        check(&[texts.map(str::to_owned).to_vec(), vec![], vec![String::new()]]);
        for length in 0..300 {
            check(&[vec!["x".repeat(length), "y".repeat(length), "'s".repeat(length / 3)], vec!["z".to_owned()]]);
        }
    }

    #[test]
    fn only_ascii_is_added() {
        for length in 1..200 {
            for at in 0..length {
                let mut text = vec![b'a'; length];
                text[at] = 0x80;
                assert!(!Joined::default().push(&text), "{length} {at}");
            }
        }
        let mut joined = Joined { end: MASK, ..Joined::default() };
        assert!(!joined.push(&[b'a'; 200]));
    }

    proptest! {
        #[test]
        fn words_are_those_of_each_text_alone(
            groups in proptest::collection::vec(
                proptest::collection::vec("([a-zA-Z]{1,9}|'s|'ll|'LL|'|[0-9]|[ \t\n\x0b]{1,3}|[!-~]|<\\||\0){0,40}", 0..7), 0..4),
        ) {
            check(&groups);
        }
    }
}
