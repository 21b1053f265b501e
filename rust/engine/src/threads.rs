//! Threads that live as long as a call: nothing is left behind that a fork could lose.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Does each piece of work, on the calling thread and on `threads - 1` more. `task` gets buffers that are its thread's.
/// Results come in no order.
pub(crate) fn in_threads<W, B: Default, R: Send>(
    work: impl ExactSizeIterator<Item = W> + Send,
    threads: usize,
    task: impl Fn(W, &mut B) -> R + Sync,
) -> Vec<R> {
    let threads = threads.clamp(1, work.len().max(1));
    let work = Mutex::new(work);
    let next = || locked(&work).next();
    let run = || {
        let mut buffers = B::default();
        std::iter::from_fn(next).map(|piece| task(piece, &mut buffers)).collect::<Vec<R>>()
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for other in others {
            results.extend(joined(other));
        }
        results
    })
}

/// What the calling thread does besides work.
pub(crate) trait Foreman {
    /// A piece of work.
    type Piece: Send;
    /// Why there is none.
    type Error;
    /// Prepares the next piece, if there is one left.
    fn prepare(&mut self) -> Option<Result<Self::Piece, Self::Error>>;
    /// Calls `work`, for a while.
    fn work(&mut self, work: &mut (dyn FnMut() + Send));
}

/// Does pieces of work that the calling thread prepares, one after the other, while `threads - 1` others are at work
/// already. It takes its own share when the others have enough to do. Results come in no order.
///
/// # Errors
///
/// The foreman's, after the pieces prepared before have been done.
pub(crate) fn led_by<F: Foreman, B: Default + Send, R: Send>(
    foreman: &mut F,
    threads: usize,
    task: impl Fn(F::Piece, &mut B) -> R + Sync,
) -> Result<Vec<R>, F::Error> {
    if threads == 1 {
        return alone(foreman, task);
    }
    let queue = Queue { state: Mutex::new(State { pieces: VecDeque::new(), closed: false }), changed: Condvar::new() };
    let run = || {
        let mut buffers = B::default();
        std::iter::from_fn(|| queue.wait()).map(|piece| task(piece, &mut buffers)).collect::<Vec<R>>()
    };
    std::thread::scope(|scope| {
        let closing = Closing(&queue); // whatever happens, or the others would wait for ever
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let (mut buffers, mut results, mut failure) = (B::default(), Vec::new(), None);
        let mut take_part = |enough: usize| {
            while let Some(piece) = queue.take_beyond(enough) {
                results.push(task(piece, &mut buffers));
            }
        };
        while let Some(piece) = foreman.prepare() {
            match piece {
                Ok(piece) => queue.push(piece),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            // A piece for each of the others to go on with, and one more for the first to be done.
            if queue.len() > threads {
                foreman.work(&mut || take_part(threads));
            }
        }
        drop(closing);
        let mut others = others.into_iter();
        let mut rest = Vec::new();
        foreman.work(&mut || {
            take_part(0);
            others.by_ref().for_each(|other| rest.extend(joined(other)));
        });
        results.extend(rest);
        failure.map_or(Ok(results), Err)
    })
}

/// [`led_by`] without others.
fn alone<F: Foreman, B: Default + Send, R: Send>(
    foreman: &mut F,
    task: impl Fn(F::Piece, &mut B) -> R + Sync,
) -> Result<Vec<R>, F::Error> {
    let (mut buffers, mut results) = (B::default(), Vec::new());
    while let Some(piece) = foreman.prepare() {
        let mut piece = Some(piece?);
        foreman.work(&mut || results.extend(piece.take().map(|piece| task(piece, &mut buffers))));
    }
    Ok(results)
}

struct Queue<W> {
    state: Mutex<State<W>>,
    changed: Condvar,
}

struct State<W> {
    pieces: VecDeque<W>,
    closed: bool,
}

impl<W> Queue<W> {
    fn push(&self, piece: W) {
        locked(&self.state).pieces.push_back(piece);
        self.changed.notify_one();
    }

    fn len(&self) -> usize {
        locked(&self.state).pieces.len()
    }

    /// A piece, if there are more than so many.
    fn take_beyond(&self, enough: usize) -> Option<W> {
        let mut state = locked(&self.state);
        if state.pieces.len() > enough { state.pieces.pop_front() } else { None }
    }

    /// A piece, as soon as there is one; `None` when there are no more to come.
    fn wait(&self) -> Option<W> {
        let mut state = locked(&self.state);
        loop {
            if let Some(piece) = state.pieces.pop_front() {
                return Some(piece);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Closing<'q, W>(&'q Queue<W>);

impl<W> Drop for Closing<'_, W> {
    fn drop(&mut self) {
        locked(&self.0.state).closed = true;
        self.0.changed.notify_all();
    }
}

/// Nothing that is done under these locks leaves anything half done, so that a panic elsewhere does not matter.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn joined<R>(thread: std::thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(std::ops::Range<u32>);

    impl Foreman for Numbers {
        type Piece = u32;
        type Error = u32;

        fn prepare(&mut self) -> Option<Result<u32, u32>> {
            self.0.next().map(|n| if n == 1000 { Err(n) } else { Ok(n) })
        }

        fn work(&mut self, work: &mut (dyn FnMut() + Send)) {
            work();
        }
    }

    #[test]
    fn every_piece_is_done_once() {
        for threads in 1..5 {
            for count in [0, 1, 2, 7, 500] {
                let mut done = led_by(&mut Numbers(0..count), threads, |n, (): &mut ()| n).unwrap();
                done.sort_unstable();
                assert_eq!(done, (0..count).collect::<Vec<_>>());
                let mut done = in_threads((0..count).collect::<Vec<_>>().into_iter(), threads, |n, (): &mut ()| n);
                done.sort_unstable();
                assert_eq!(done, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_error_ends_it_and_a_panic_is_passed_on() {
        assert_eq!(led_by(&mut Numbers(0..2000), 3, |n, (): &mut ()| n), Err(1000));
        for threads in 1..4 {
            let panics = std::panic::catch_unwind(|| {
                led_by(&mut Numbers(0..100), threads, |n, (): &mut ()| assert!(n != 50, "as wanted"))
            });
            assert!(panics.is_err());
        }
    }
}
