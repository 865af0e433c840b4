//! What is said on the wire, byte-compatible with the TiKV ecosystem: generated from the files under `protos/`.
//!
//! This crate does not know what any message means. Bytes fields are [`bytes::Bytes`]. Streaming methods of the
//! generated server traits return `tonic::codegen::BoxStream`, and a server implements only the methods it has:
//! the others answer `Unimplemented`.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code has its own style")]

include!(concat!(env!("OUT_DIR"), "/mod.rs"));

/// The compiled descriptors of every file (a serialised `google.protobuf.FileDescriptorSet`).
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
