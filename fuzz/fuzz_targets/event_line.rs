#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::target!(scheduler::fuzz::event_line);
