//! Any bytes end in a value or an error. Tree, skip and tokens agree, and what is read is written
//! as bytes that are read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring_codec::{DecodeErrorKind, Decoder, Encoder, Value};

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::new(input);
    let mut before = 0;
    while decoder.remaining() > 0 && decoder.token().is_ok() {
        assert!(decoder.offset() > before && decoder.offset() <= input.len());
        before = decoder.offset();
    }

    let mut decoder = Decoder::new(input);
    let skipped = decoder.skip().and_then(|()| decoder.finish());
    match Value::decode(input) {
        Ok(value) => {
            skipped.expect("a value is well-formed");
            let bytes = value.to_vec().expect("what was read can be written");
            let again = Value::decode(&bytes).expect("what was written can be read");
            assert_eq!(again.to_vec().as_deref(), Ok(bytes.as_slice()));

            let mut place = vec![0; bytes.len()];
            let mut encoder = Encoder::over(&mut place);
            value.write(&mut encoder).expect("as before");
            assert_eq!(encoder.finish().expect("the length was measured"), bytes);
        }
        Err(error) => {
            assert!(error.offset() <= input.len());
            assert!(error.to_string().len() < 32 * 1024, "a message stays readable");
            // Only these two refuse what is well-formed.
            let well_formed = matches!(
                error.kind(),
                DecodeErrorKind::DuplicateKey | DecodeErrorKind::SimpleValue { .. }
            );
            assert!(well_formed || skipped.is_err());
        }
    }
});
