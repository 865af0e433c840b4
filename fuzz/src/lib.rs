//! What all targets share: each is one function of bytes that must not panic.

#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys;

/// The program of a target: libFuzzer's, or one that reads the files that are named to it.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! target {
    ($parser:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $parser(data));
    };
}

/// The program of a target: libFuzzer's, or one that reads the files that are named to it.
#[cfg(not(feature = "libfuzzer"))]
#[macro_export]
macro_rules! target {
    ($parser:path) => {
        fn main() -> std::io::Result<()> {
            for file in std::env::args_os().skip(1) {
                $parser(&std::fs::read(file)?);
            }
            Ok(())
        }
    };
}
