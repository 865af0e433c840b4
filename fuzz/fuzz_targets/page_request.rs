#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::target!(dashboard::fuzz::page_request);
