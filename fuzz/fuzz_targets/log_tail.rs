#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::target!(raft_core::fuzz::log_tail);
