//! Something that many threads work on in a given order, one after the other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A value that whoever has turn 0 gets first, then turn 1, and so on.
pub(crate) struct Turns<V> {
    state: Mutex<State<V>>,
    changed: Condvar,
}

struct State<V> {
    value: V,
    next: usize,
    /// Whether somebody has given up a turn, so that the later ones do not come.
    broken: bool,
}

/// The right, and the duty, to have the value once. Dropped without, as a panic does, it ends all turns.
pub(crate) struct Turn<'t, V> {
    turns: &'t Turns<V>,
    number: usize,
    taken: bool,
}

impl<V> Turns<V> {
    pub(crate) fn new(value: V) -> Self {
        Self { state: Mutex::new(State { value, next: 0, broken: false }), changed: Condvar::new() }
    }

    pub(crate) fn turn(&self, number: usize) -> Turn<'_, V> {
        Turn { turns: self, number, taken: false }
    }

    pub(crate) fn into_inner(self) -> V {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).value
    }

    fn locked(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Turn<'_, V> {
    /// Waits for the turn, and calls `task` unless an earlier turn was given up.
    pub(crate) fn take(mut self, task: impl FnOnce(&mut V)) {
        let state = self.turns.locked();
        let waiting = |state: &mut State<V>| state.next != self.number && !state.broken;
        let mut state = self.turns.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        if !state.broken {
            task(&mut state.value);
            state.next += 1;
            self.taken = true;
        }
    }
}

impl<V> Drop for Turn<'_, V> {
    fn drop(&mut self) {
        if !self.taken {
            self.turns.locked().broken = true;
        }
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_in_order() {
        let turns = Turns::new(Vec::new());
        std::thread::scope(|scope| {
            for number in (0..8).rev() {
                let turn = turns.turn(number);
                scope.spawn(move || turn.take(|order| order.push(number)));
            }
        });
        assert_eq!(turns.into_inner(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_waits_for_a_turn_that_was_given_up() {
        let turns = Turns::new(0);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let turn = turns.turn(number);
                scope.spawn(move || if number == 1 { drop(turn) } else { turn.take(|count| *count += 1) });
            }
        });
        assert!(turns.into_inner() <= 1);
    }
}
