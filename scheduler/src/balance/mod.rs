//! The balance: a plan towards computed targets, on the virtual state (what is, and what is under way).
//!
//! Sizes: every Store's target is its even share (`targets`); Stores above it give to Stores below it, never more than
//! either lacks (`fill`), and then as brings both nearer (`polish`); the plan is kept only when it is worth its bytes (`judge`). Leaders: one moves while two
//! Stores differ by two or more, over several Stores when no Region joins the two (`leaders`).

mod fill;
mod judge;
mod leaders;
mod polish;
mod targets;

pub(crate) use fill::{Move, Scope, plan_sizes};
pub(crate) use leaders::{Transfer, plan_leaders};
pub(crate) use targets::targets_kib;
