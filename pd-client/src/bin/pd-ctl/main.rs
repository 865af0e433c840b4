//! `pd-ctl`: what people type.

fn main() {}
