//! The web page of the placement driver: its files, its HTML, and the encodings of what it shows.
//!
//! What is shown comes through a trait; this crate knows neither server nor planner.

pub mod model;
