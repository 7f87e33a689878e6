//! Any bytes are a value or refused with their place; what is read is written, and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring_codec::json::{self, Close, Item, Options, Reader};
use slipring_codec::EncodeErrorKind;

/// Goes through a value piece by piece, as the bindings do.
fn walk(reader: &mut Reader<'_>, depth: usize) -> bool {
    let before = reader.offset();
    let close = match reader.item(depth) {
        Err(_) => return false,
        Ok(Item::Array) => Close::Array,
        Ok(Item::Object) => Close::Object,
        Ok(_) => {
            assert!(reader.offset() > before);
            return true;
        }
    };
    let mut entry = 0;
    let mut more = reader.first(close);
    while let Ok(true) = more {
        if matches!(close, Close::Object) && reader.key(entry).is_err() {
            return false;
        }
        if !walk(reader, depth + 1) {
            return false;
        }
        entry += 1;
        more = reader.more(close);
    }
    more.is_ok()
}

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input, Options::default());
    let well_formed = walk(&mut reader, 0) && reader.finish().is_ok();
    match json::from_slice(input) {
        Ok(value) => {
            assert!(well_formed, "the tree is what the pieces are");
            let text = match json::to_vec(&value) {
                Ok(text) => text,
                // Read to more levels, and to longer integers, than are written.
                Err(error) => return assert!(matches!(error.kind(), EncodeErrorKind::NoJson { .. })),
            };
            let again = json::from_slice(&text).expect("what was written is read");
            assert_eq!(again, value);
            assert_eq!(json::to_vec(&again).as_deref(), Ok(&text[..]));
        }
        Err(error) => {
            assert!(error.offset() <= input.len());
            assert!(error.to_string().len() < 32 * 1024, "a message stays readable");
        }
    }
    if well_formed {
        assert!(json::kind(input).is_some());
    }
});
