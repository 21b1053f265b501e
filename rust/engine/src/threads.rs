//! Worker threads that live as long as one call: there is no pool that a fork could lose.

use crate::interrupt;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Duration;

/// Maps `task` over the items on the calling thread and `threads - 1` more. Each thread passes its own buffers `B`.
/// Results are in no particular order.
pub(crate) fn parallel_map<W, B: Default, R: Send>(
    work: impl ExactSizeIterator<Item = W> + Send,
    threads: usize,
    task: impl Fn(W, &mut B) -> R + Sync,
) -> Vec<R> {
    let threads = threads.clamp(1, work.len().max(1));
    let work = Mutex::new(work);
    let next = || locked(&work).next();
    let run = || {
        let mut buffers = B::default();
        std::iter::from_fn(next).map(|item| task(item, &mut buffers)).collect::<Vec<R>>()
    };
    let workers = Workers::default();
    std::thread::scope(|scope| {
        let others = workers.spawn(scope, threads - 1, &run);
        let mut results = run();
        workers.wait();
        for other in others {
            results.extend(joined(other));
        }
        results
    })
}

/// What produces items on the calling thread, for instance because only that thread holds Python's interpreter lock.
pub(crate) trait Producer {
    /// A unit of work.
    type Item: Send;
    /// Why there are no more items.
    type Error;
    /// The next item, or `None` after the last.
    fn next(&mut self) -> Option<Result<Self::Item, Self::Error>>;
    /// Calls `task`, which may block and needs nothing that only this thread may use.
    fn run_detached(&mut self, task: &mut (dyn FnMut() + Send));
}

/// Maps `task` over the items of a producer. The calling thread produces them while `threads - 1` others consume them, and
/// consumes some itself whenever enough are queued. Results are in no particular order.
///
/// # Errors
///
/// The producer's error, after the items before it have been consumed.
pub(crate) fn run_producer<F: Producer, B: Default + Send, R: Send>(
    producer: &mut F,
    threads: usize,
    task: impl Fn(F::Item, &mut B) -> R + Sync,
) -> Result<Vec<R>, F::Error> {
    if threads == 1 {
        return run_serially(producer, task);
    }
    let queue = Queue { state: Mutex::new(State { items: VecDeque::new(), closed: false }), changed: Condvar::new() };
    let run = || {
        let mut buffers = B::default();
        std::iter::from_fn(|| queue.pop()).map(|item| task(item, &mut buffers)).collect::<Vec<R>>()
    };
    let all = Workers::default();
    std::thread::scope(|scope| {
        let closing = CloseOnDrop(&queue); // also on a panic, or the workers would wait for ever
        let workers = all.spawn(scope, threads - 1, &run);
        let (mut buffers, mut results, mut failure) = (B::default(), Vec::new(), None);
        let mut consume = |leave: usize| {
            while let Some(item) = queue.pop_beyond(leave) {
                results.push(task(item, &mut buffers));
            }
        };
        while let Some(item) = producer.next() {
            match item {
                Ok(item) => queue.push(item),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            // Leave one item for each worker, and one more for the worker that finishes first.
            if queue.len() > threads {
                producer.run_detached(&mut || consume(threads));
            }
        }
        drop(closing);
        let mut workers = workers.into_iter();
        let mut rest = Vec::new();
        producer.run_detached(&mut || {
            consume(0);
            all.wait();
            workers.by_ref().for_each(|worker| rest.extend(joined(worker)));
        });
        results.extend(rest);
        failure.map_or(Ok(results), Err)
    })
}

/// [`run_producer`] on one thread.
fn run_serially<F: Producer, B: Default + Send, R: Send>(
    producer: &mut F,
    task: impl Fn(F::Item, &mut B) -> R + Sync,
) -> Result<Vec<R>, F::Error> {
    let (mut buffers, mut results) = (B::default(), Vec::new());
    while let Some(item) = producer.next() {
        let mut item = Some(item?);
        producer.run_detached(&mut || results.extend(item.take().map(|item| task(item, &mut buffers))));
    }
    Ok(results)
}

/// The worker threads of one call.
#[derive(Default)]
struct Workers {
    running: Mutex<usize>,
    changed: Condvar,
}

impl Workers {
    /// Starts up to `count` threads: where the system refuses one, those that run do the work.
    fn spawn<'s, R: Send + 's>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        count: usize,
        run: &'s (impl Fn() -> R + Sync),
    ) -> Vec<ScopedJoinHandle<'s, R>> {
        let spawn = |_| {
            let check = interrupt::current();
            *locked(&self.running) += 1;
            let running = Running(self); // dropped by the thread, or here if there is none
            let work = move || {
                let _running = running;
                interrupt::adopt(check);
                run()
            };
            Builder::new().spawn_scoped(scope, work).ok()
        };
        (0..count).map_while(spawn).collect()
    }

    /// Blocks until all have ended, and unwinds if the call is interrupted meanwhile.
    fn wait(&self) {
        const PATIENCE: Duration = Duration::from_millis(50);
        let mut running = locked(&self.running);
        while *running > 0 {
            running = self.changed.wait_timeout(running, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
            drop(running);
            interrupt::poll_now();
            running = locked(&self.running);
        }
    }
}

/// Counts a thread as running.
struct Running<'w>(&'w Workers);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *locked(&self.0.running) -= 1;
        self.0.changed.notify_all();
    }
}

struct Queue<W> {
    state: Mutex<State<W>>,
    changed: Condvar,
}

struct State<W> {
    items: VecDeque<W>,
    closed: bool,
}

impl<W> Queue<W> {
    fn push(&self, item: W) {
        locked(&self.state).items.push_back(item);
        self.changed.notify_one();
    }

    fn len(&self) -> usize {
        locked(&self.state).items.len()
    }

    /// The next item if more than `leave` are queued.
    fn pop_beyond(&self, leave: usize) -> Option<W> {
        let mut state = locked(&self.state);
        if state.items.len() > leave { state.items.pop_front() } else { None }
    }

    /// Blocks until there is an item, or returns `None` once the queue is closed and empty.
    fn pop(&self) -> Option<W> {
        let mut state = locked(&self.state);
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Closes the queue when it is dropped.
struct CloseOnDrop<'q, W>(&'q Queue<W>);

impl<W> Drop for CloseOnDrop<'_, W> {
    fn drop(&mut self) {
        locked(&self.0.state).closed = true;
        self.0.changed.notify_all();
    }
}

/// Ignores poisoning: nothing under these locks can panic halfway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn joined<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests;
