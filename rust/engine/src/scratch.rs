//! Thread-local scratch buffers: kilobytes that would take longer to clear than a short text takes to encode.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// A buffer of which each thread keeps one between calls.
pub(crate) trait Reusable: Default + 'static {
    /// The thread-local slot that holds it while nobody uses it.
    const SLOT: &'static LocalKey<Cell<Option<Box<Self>>>>;
    /// Whether it has grown so large that it is freed rather than kept.
    fn is_large(&self) -> bool;
}

/// The thread's buffer, taken out of its slot, or a new one when it is in use already. Dropping this puts it back.
#[derive(Debug)]
pub(crate) struct ThreadScratch<S: Reusable>(Option<Box<S>>);

impl<S: Reusable> Default for ThreadScratch<S> {
    fn default() -> Self {
        let kept = S::SLOT.try_with(Cell::take).ok().flatten();
        Self(Some(kept.unwrap_or_default()))
    }
}

impl<S: Reusable> Drop for ThreadScratch<S> {
    fn drop(&mut self) {
        // A panic may have left it inconsistent.
        let kept = self.0.take().filter(|kept| !kept.is_large() && !std::thread::panicking());
        let _ = S::SLOT.try_with(|slot| slot.set(kept)); // fails while the thread is ending
    }
}

impl<S: Reusable> Deref for ThreadScratch<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.0.as_deref().expect("only dropping takes it")
    }
}

impl<S: Reusable> DerefMut for ThreadScratch<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.0.as_deref_mut().expect("only dropping takes it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static NUMBERS: Cell<Option<Box<Numbers>>> = const { Cell::new(None) };
    }

    #[derive(Default)]
    struct Numbers(Vec<u32>);

    impl Reusable for Numbers {
        const SLOT: &'static LocalKey<Cell<Option<Box<Self>>>> = &NUMBERS;

        fn is_large(&self) -> bool {
            self.0.len() > 3
        }
    }

    #[test]
    fn buffers_are_kept_unless_large_or_left_by_a_panic() {
        let held = |more: usize| {
            let mut scratch = ThreadScratch::<Numbers>::default();
            let held = scratch.0.as_ref().map(|numbers| numbers.0.len());
            scratch.0.as_mut().unwrap().0.resize(more, 0);
            held
        };
        assert_eq!([held(3), held(4), held(1)], [Some(0), Some(3), Some(0)]);
        let panicked = std::panic::catch_unwind(|| {
            let scratch = ThreadScratch::<Numbers>::default();
            std::panic::resume_unwind(Box::new(scratch.0.as_ref().map(|numbers| numbers.0.len())));
        });
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&Some(1_usize)));
        assert_eq!(held(2), Some(0));
        // One that is in use already is not shared.
        let first = ThreadScratch::<Numbers>::default();
        assert_eq!((first.0.as_ref().map(|numbers| numbers.0.len()), held(0)), (Some(2), Some(0)));
    }
}
