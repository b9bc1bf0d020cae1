#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dicewise_fuzz::Target::Nifti.run(bytes));
