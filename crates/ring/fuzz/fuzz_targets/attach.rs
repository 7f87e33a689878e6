//! P9: any bytes in a segment's header end in a refusal or in a segment that works.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring::{Header, Segment, Wait};
use std::os::unix::fs::FileExt;

/// FNV-1a, so that changed fields get past the checksum.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fuzz_target!(|data: &[u8]| {
    let path = std::path::PathBuf::from(format!("/dev/shm/fuzz-attach-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let made = Segment::options().slots(8).capacity(1 << 18).keep(true).create(path.as_path());
    drop(made.expect("create"));
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
    let mut fixed = [0; 256];
    file.read_exact_at(&mut fixed, 0).expect("read");
    for patch in data.chunks_exact(9) {
        let at = usize::from(patch[0]).min(240);
        fixed[at..at + 8].copy_from_slice(&patch[1..]);
    }
    if data.first().is_some_and(|byte| byte % 2 == 0) {
        let checksum = sum(&fixed[..248]);
        fixed[248..].copy_from_slice(&checksum.to_le_bytes());
    }
    file.write_all_at(&fixed, 0).expect("write");
    let _ = slipring::inspect(path.as_path()).map(|seen| seen.to_string());
    if let Ok(segment) = Segment::open(path.as_path()) {
        let (tx, rx) = (segment.producer(), segment.consumer());
        if let (Ok(mut tx), Ok(mut rx)) = (tx, rx) {
            let _ = tx.send(Header::raw(), &[1; 1000], &Wait::no());
            let _ = rx.recv(&Wait::no()).map(|frame| frame.iter().fold(0u8, |sum, b| sum ^ b));
        }
    }
    let _ = std::fs::remove_file(&path);
});
