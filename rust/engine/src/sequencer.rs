//! An in-order sequencer: threads that finish in any order append to one value in a fixed order.

use crate::interrupt::poll_now;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A value that is updated by the holders of tickets 0, 1, 2, … one after the other.
pub(crate) struct Sequencer<V> {
    state: Mutex<State<V>>,
    changed: Condvar,
}

struct State<V> {
    value: V,
    /// The ticket whose holder may update the value now.
    next: usize,
    /// A ticket was dropped unused, so the later ones never become due.
    broken: bool,
}

/// The permission to update the value once, when its number is due. A ticket that is dropped unused, as by a panic,
/// breaks the sequence: nobody waits for what will not come.
pub(crate) struct Ticket<'s, V> {
    sequencer: &'s Sequencer<V>,
    number: usize,
    used: bool,
}

impl<V> Sequencer<V> {
    pub(crate) fn new(value: V) -> Self {
        Self { state: Mutex::new(State { value, next: 0, broken: false }), changed: Condvar::new() }
    }

    /// Each number must be asked for once.
    pub(crate) fn ticket(&self, number: usize) -> Ticket<'_, V> {
        Ticket { sequencer: self, number, used: false }
    }

    pub(crate) fn into_inner(self) -> V {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).value
    }

    fn locked(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Ticket<'_, V> {
    /// Blocks until the ticket is due, then calls `update`, unless the sequence is broken. Unwinds if the call is
    /// interrupted meanwhile: the thread before this one may have a text of 100 MB in hand.
    pub(crate) fn update(mut self, update: impl FnOnce(&mut V)) {
        const PATIENCE: Duration = Duration::from_millis(50);
        let mut state = self.sequencer.locked();
        while state.next != self.number && !state.broken {
            drop(self.sequencer.changed.wait_timeout(state, PATIENCE));
            poll_now();
            state = self.sequencer.locked();
        }
        if !state.broken {
            update(&mut state.value);
            state.next += 1;
            self.used = true;
        }
    }
}

impl<V> Drop for Ticket<'_, V> {
    fn drop(&mut self) {
        if !self.used {
            self.sequencer.locked().broken = true;
        }
        self.sequencer.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::{Interrupt, Interrupted, interruptible};
    use std::sync::Arc;

    #[test]
    fn updates_come_in_order() {
        let sequencer = Sequencer::new(Vec::new());
        std::thread::scope(|scope| {
            for number in (0..8).rev() {
                let ticket = sequencer.ticket(number);
                scope.spawn(move || ticket.update(|order| order.push(number)));
            }
        });
        assert_eq!(sequencer.into_inner(), (0..8).collect::<Vec<_>>());
    }

    /// Says at once that work should stop.
    struct Stop;

    impl Interrupt for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_wait_can_be_interrupted() {
        let sequencer = Sequencer::new(0);
        let [first, second] = [0, 1].map(|number| sequencer.ticket(number));
        let waited = interruptible(Arc::new(Stop), || second.update(|value| *value += 1));
        assert_eq!(waited, Err(Interrupted));
        first.update(|value| *value += 1); // the sequence is broken
        assert_eq!(sequencer.into_inner(), 0);
    }

    #[test]
    fn nobody_waits_for_a_ticket_that_was_dropped() {
        let sequencer = Sequencer::new(0);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let ticket = sequencer.ticket(number);
                scope.spawn(move || if number == 1 { drop(ticket) } else { ticket.update(|count| *count += 1) });
            }
        });
        assert!(sequencer.into_inner() <= 1);
    }
}
