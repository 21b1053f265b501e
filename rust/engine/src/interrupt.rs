//! Stopping long work: a call can be given a check, which every thread that works for it polls.
//!
//! A thread that finds the check positive unwinds, so that no function in between has to know of it.
//! [`interruptible`] catches that, and nothing else, where the work began.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Says whether work should stop.
pub trait Interrupt: Send + Sync {
    /// Called every few milliseconds on each thread that works. Once true, it must stay true.
    fn is_interrupted(&self) -> bool;
}

/// The work was stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

thread_local! {
    static CHECK: RefCell<Option<Arc<dyn Interrupt>>> = const { RefCell::new(None) };
    static COUNTDOWN: Cell<u32> = const { Cell::new(POLLS) };
}

/// So many calls of [`poll`] ask the check once.
const POLLS: u32 = 64;

/// Does work that `check` may stop. What it has written to so far holds anything.
///
/// # Errors
///
/// [`Interrupted`] when the check was positive.
///
/// # Panics
///
/// When the work does.
pub fn interruptible<R>(check: Arc<dyn Interrupt>, work: impl FnOnce() -> R) -> Result<R, Interrupted> {
    let before = CHECK.replace(Some(check));
    let result = catch_unwind(AssertUnwindSafe(work));
    CHECK.set(before);
    result.map_err(|panic| if panic.is::<Interrupted>() { Interrupted } else { resume_unwind(panic) })
}

/// The check of this thread, for another that works for the same call.
pub(crate) fn current() -> Option<Arc<dyn Interrupt>> {
    CHECK.with_borrow(Clone::clone)
}

/// Gives a new thread its check.
pub(crate) fn adopt(check: Option<Arc<dyn Interrupt>>) {
    CHECK.set(check);
}

/// To be called in every loop that may take long. Unwinds if the work is to stop.
#[inline]
pub(crate) fn poll() {
    let left = COUNTDOWN.get();
    COUNTDOWN.set(left.wrapping_sub(1));
    if left == 0 {
        poll_now();
    }
}

/// As [`poll`], and asks the check each time.
#[cold]
pub(crate) fn poll_now() {
    COUNTDOWN.set(POLLS);
    if current().is_some_and(|check| check.is_interrupted()) {
        resume_unwind(Box::new(Interrupted)); // no message of a panic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Profile};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts how often it is asked.
    struct Asked(AtomicUsize);

    impl Interrupt for Asked {
        fn is_interrupted(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            false
        }
    }

    #[test]
    fn the_check_is_asked_now_and_then() {
        let asked = Arc::new(Asked(AtomicUsize::new(0)));
        interruptible(asked.clone(), || (0..6400).for_each(|_| poll())).unwrap();
        assert!((90..=110).contains(&asked.0.load(Ordering::Relaxed)), "{asked:?}", asked = asked.0);
    }

    fn asked(work: impl FnOnce()) -> usize {
        let asked = Arc::new(Asked(AtomicUsize::new(0)));
        interruptible(asked.clone(), work).unwrap();
        asked.0.load(Ordering::Relaxed)
    }

    /// Each loop adds its share, a tenth at least: without one, a text of 100 MB would not see Ctrl-C for seconds.
    #[test]
    fn every_loop_asks() {
        let (words, both) = ("qzx7 wvu8 ".repeat(60_000), "é qzx ".repeat(90_000));
        let (accents, one_word) = ("é".repeat(300_000), "xq".repeat(300_000));
        let dirty = "“É” &amp; ".repeat(45_000);
        let engine = Engine::clip(Profile::Transformers);
        let (texts, ids) = (vec!["a cat"; 100_000], vec![320; 200_000]);
        let count = || engine.count(&texts, &mut vec![0; texts.len()], 1);
        let found = [
            ("accents", asked(|| drop(engine.encode(&accents))), 13_846),
            ("one word", asked(|| drop(engine.encode(&one_word))), 46_154),
            ("offsets of words", asked(|| drop(engine.encode_offsets(&words))), 36_000),
            ("offsets of both", asked(|| drop(engine.encode_offsets(&both))), 31_846),
            ("offsets of accents", asked(|| drop(engine.encode_offsets(&accents))), 32_307),
            ("dirty", asked(|| drop(Engine::clip(Profile::OpenClip).encode(&dirty))), 8_314),
            ("dirty, slow", asked(|| drop(Engine::clip(Profile::TransformersSlow).encode(&dirty))), 6_929),
            ("texts", asked(count), 1_539),
            ("ids", asked(|| drop(engine.decode(&ids, true))), 3_076),
        ];
        for (what, times, wanted) in found {
            assert!(times > wanted * 95 / 100, "{what}: {times} times, where {wanted} are wanted");
        }
    }

    /// Positive after some calls.
    struct After(AtomicUsize);

    impl Interrupt for After {
        fn is_interrupted(&self) -> bool {
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.saturating_sub(1), Ordering::Relaxed);
            left == 0
        }
    }

    #[test]
    fn work_stops_everywhere() {
        let long =
            ["qzx7 wvu8 ".repeat(100_000), "é".repeat(300_000), "xq".repeat(300_000), "“é” &amp; ".repeat(50_000)];
        for (_, profile) in Profile::NAMES {
            let engine = Engine::clip(profile);
            for text in &long {
                for threads in 1..3 {
                    let stop = |calls: usize| Arc::new(After(calls.into()));
                    let mut counts = [0; 2];
                    let texts = [text.as_str(), "a"];
                    let count = interruptible(stop(2), || engine.count(&texts, &mut counts, threads));
                    assert_eq!(count, Err(Interrupted));
                    let pack =
                        interruptible(stop(2), || engine.pack(&texts, None, true, threads, &mut Vec::<u32>::new()));
                    assert_eq!(pack.map(|_| ()), Err(Interrupted));
                    assert_eq!(interruptible(stop(2), || engine.encode(text)), Err(Interrupted));
                    assert!(interruptible(stop(usize::MAX), || engine.encode(text)).is_ok());
                }
                if profile == Profile::Transformers {
                    assert!(interruptible(Arc::new(After(2.into())), || engine.encode_offsets(text)).is_err());
                }
            }
            assert_eq!(engine.encode("a cat"), [320, 2368]);
        }
    }
}
