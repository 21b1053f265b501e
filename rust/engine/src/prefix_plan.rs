//! Which tokens a text encoder has to compute: many texts merged into prefix tries of bounded size.
//!
//! Under causal attention a token's state depends on the tokens before it alone, so texts with a common prefix share its
//! states: a *node* of the trie, which is a token with its whole prefix, is computed once. `python/cliptok/encoder/sharing`
//! says how attention works on the nodes; its `plan.py` describes the layout that is written here.
//!
//! A [`Window`] is some texts in sorted order, without repetitions. It is split into batches, and each is laid out in
//! one buffer of `i32`, by [`Window::build`] for CPUs or [`Window::build_canonical`] for GPUs.

mod layout;
mod window;

pub use layout::{Canonical, Layout};
pub use window::{PlanError, Window};
