//! The raw key-value service.

mod read;
mod request;
mod scan;
mod service;
mod write;

pub use service::RawService;
