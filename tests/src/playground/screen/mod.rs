//! The terminal: lines that stay, and beneath them a few that are redrawn in place. Without a terminal only the lines
//! that stay, free of escapes.

mod live;
mod stage;
mod wishes;

pub use live::Screen;
pub use wishes::{Wish, Wishes, stopped};
