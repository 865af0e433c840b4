//! Witnesses: they hear every timestamp and every id that was given out, to whomever, and tell what must not be.

mod ids;
mod timestamps;

pub use ids::IdWitness;
pub use timestamps::TimestampWitness;
