#![cfg_attr(feature = "libfuzzer", no_main)]

fuzz::target!(pd_server::fuzz::http_query);
