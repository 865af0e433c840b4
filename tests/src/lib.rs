//! What tests, the playground and the benches share: real clusters of real processes, and the recorded answers.

pub mod bench;
pub mod cluster;
pub mod coverage;
pub mod pages;
pub mod playground;
pub mod replay;
pub mod takers;
pub mod writes;
