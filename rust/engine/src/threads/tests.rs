//! Threads that meet, help, stop and fail as they should.

use super::*;

struct Numbers(std::ops::Range<u32>);

impl Producer for Numbers {
    type Item = u32;
    type Error = u32;

    fn next(&mut self) -> Option<Result<u32, u32>> {
        self.0.next().map(|n| if n == 1000 { Err(n) } else { Ok(n) })
    }

    fn run_detached(&mut self, task: &mut (dyn FnMut() + Send)) {
        task();
    }
}

#[test]
fn every_item_is_consumed_once() {
    for threads in 1..5 {
        for count in [0, 1, 2, 7, 500] {
            let mut done = run_producer(&mut Numbers(0..count), threads, |n, (): &mut ()| n).unwrap();
            done.sort_unstable();
            assert_eq!(done, (0..count).collect::<Vec<_>>());
            let mut done = parallel_map((0..count).collect::<Vec<_>>().into_iter(), threads, |n, (): &mut ()| n);
            done.sort_unstable();
            assert_eq!(done, (0..count).collect::<Vec<_>>());
        }
    }
}

/// Where threads wait for each other, up to a limit.
#[derive(Default)]
struct Meeting {
    here: Mutex<usize>,
    changed: Condvar,
}

impl Meeting {
    /// Whether `count` threads were here at once before the time was up.
    fn of(&self, count: usize, limit: Duration) -> bool {
        let mut here = locked(&self.here);
        *here += 1;
        self.changed.notify_all();
        let (here, _) = self.changed.wait_timeout_while(here, limit, |here| *here < count).unwrap();
        *here >= count
    }
}

#[test]
fn there_are_as_many_threads_as_were_asked_for() {
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);
    for threads in 1..5 {
        let meet = |meeting: &Meeting, count: usize, limit| {
            let together = parallel_map(0..count as u32, threads, |_, (): &mut ()| meeting.of(count, limit));
            let again = Meeting::default();
            let produced =
                run_producer(&mut Numbers(0..count as u32), threads, |_, (): &mut ()| again.of(count, limit));
            [together, produced.unwrap()].map(|all| all.into_iter().all(|here| here))
        };
        assert_eq!(meet(&Meeting::default(), threads, LONG), [true; 2]);
        // One more item waits in vain: nobody comes for it until those who wait give up.
        assert_eq!(meet(&Meeting::default(), threads + 1, SHORT), [false; 2]);
    }
}

/// While the workers are busy the producing thread consumes what is beyond an item for each, and no more.
#[test]
fn a_producer_helps_its_workers() {
    struct Watched<'w> {
        left: u32,
        open: bool,
        taken: &'w Mutex<u32>,
    }

    impl Producer for Watched<'_> {
        type Item = u32;
        type Error = u32;

        fn next(&mut self) -> Option<Result<u32, u32>> {
            while self.left == 98 && *locked(self.taken) < 2 {
                std::thread::yield_now(); // until each worker holds an item
            }
            self.open = self.left > 0;
            self.left = self.left.checked_sub(1)?;
            Some(Ok(self.left))
        }

        fn run_detached(&mut self, task: &mut (dyn FnMut() + Send)) {
            task();
            let queued = 100 - self.left - *locked(self.taken);
            assert_eq!(queued, if self.open { 3 } else { 0 });
        }
    }

    let (taken, producing) = (Mutex::new(0), std::thread::current().id());
    let done = Meeting::default();
    let task = |n: u32, (): &mut ()| {
        let all = {
            let mut taken = locked(&taken);
            *taken += 1;
            *taken == 100
        };
        // Workers hold their first item until the last one is taken.
        if all {
            *locked(&done.here) = 1000;
            done.changed.notify_all();
        } else if std::thread::current().id() != producing {
            done.of(1000, Duration::from_secs(60));
        }
        n
    };
    let mut producer = Watched { left: 100, open: true, taken: &taken };
    let mut all = run_producer(&mut producer, 3, task).unwrap();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

/// A check that only the calling thread can make, as that of Ctrl-C in Python, stops the workers it waits for.
#[test]
fn the_calling_thread_checks_while_it_waits() {
    struct Caller(std::thread::ThreadId, std::sync::atomic::AtomicBool, Meeting);

    impl interrupt::Interrupt for Caller {
        fn is_interrupted(&self) -> bool {
            use std::sync::atomic::Ordering::Relaxed;
            if std::thread::current().id() == self.0 {
                self.1.store(true, Relaxed);
            }
            self.1.load(Relaxed)
        }
    }

    let caller = std::sync::Arc::new(Caller(std::thread::current().id(), false.into(), Meeting::default()));
    let work = || {
        parallel_map(0..2, 2, |_, (): &mut ()| {
            caller.2.of(2, Duration::from_secs(60));
            let end = std::time::Instant::now() + Duration::from_secs(60);
            while std::thread::current().id() != caller.0 && std::time::Instant::now() < end {
                interrupt::poll_now();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let check: std::sync::Arc<dyn interrupt::Interrupt> = caller.clone();
    let started = std::time::Instant::now();
    assert_eq!(interrupt::interruptible(check, work).map(|_| ()), Err(interrupt::Interrupted));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn errors_and_panics_are_propagated() {
    assert_eq!(run_producer(&mut Numbers(0..2000), 3, |n, (): &mut ()| n), Err(1000));
    for threads in 1..4 {
        let panics = std::panic::catch_unwind(|| {
            run_producer(&mut Numbers(0..100), threads, |n, (): &mut ()| assert!(n != 50, "as wanted"))
        });
        assert!(panics.is_err());
    }
}

/// While all workers are busy the calling thread works off what it has produced: the queue stays short.
#[test]
fn the_queue_stays_short() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    struct Counted<'c>(std::ops::Range<u32>, &'c AtomicUsize);

    impl Producer for Counted<'_> {
        type Item = u32;
        type Error = u32;

        fn next(&mut self) -> Option<Result<u32, u32>> {
            self.1.fetch_add(usize::from(!self.0.is_empty()), Relaxed);
            self.0.next().map(Ok)
        }

        fn run_detached(&mut self, task: &mut (dyn FnMut() + Send)) {
            task();
        }
    }

    let (waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let task = |_: u32, (): &mut ()| {
        std::thread::sleep(Duration::from_micros(200));
        most.fetch_max(waiting.fetch_sub(1, Relaxed), Relaxed);
    };
    run_producer(&mut Counted(0..200, &waiting), 3, task).unwrap();
    assert!(most.load(Relaxed) <= 3 + 1 + 3, "{most:?}"); // in the queue, just produced, and at work
}
