//! The Region index.
mod reader;
pub use reader::RegionReader;
