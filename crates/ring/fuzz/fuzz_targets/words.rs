//! P9: garbage in any control word or descriptor of a living segment, between any operations, ends
//! in an error, an empty or a full ring; never in a crash, a hang or a read outside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring::{Delivery, Header, Mode, Segment, Wait};
use std::os::unix::fs::FileExt;

fuzz_target!(|data: &[u8]| {
    let path = std::path::PathBuf::from(format!("/dev/shm/fuzz-words-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let Some((first, data)) = data.split_first() else { return };
    let mode = [Mode::Spsc, Mode::Mpsc, Mode::Spmc, Mode::Mpmc][usize::from(first % 4)];
    let delivery = if first & 4 == 0 {
        Delivery::AtMostOnce
    } else {
        Delivery::AtLeastOnce { limit: 20 }
    };
    let options = Segment::options().slots(8).capacity(1 << 19).schemas(8).mode(mode).max_deliveries(1);
    let options = options.drop_oldest(mode != Mode::Spsc);
    let segment = options.create(path.as_path()).expect("create");
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("open");
    let (mut tx, mut rx) = (segment.producer().expect("tx"), segment.consumer_with(delivery).expect("rx"));
    let (mut grants, mut frames) = (Vec::new(), Vec::new());
    let mut wants = Vec::new();
    for step in data.chunks_exact(12) {
        let number = u64::from_le_bytes(step[4..].try_into().expect("eight bytes"));
        let at = u64::from(u16::from_le_bytes([step[1], step[2]])) * 8;
        match step[0] % 14 {
            // From the control part on; the file is larger than 64 KiB x 8.
            0..=2 => {
                let at = 256 + at % (segment.mapped().len() as u64 - 264) / 8 * 8;
                file.write_all_at(&number.to_le_bytes(), at).expect("write");
            }
            3 => drop(tx.send(Header::raw(), &vec![1; number as usize % 70_000], &Wait::no())),
            4 => grants.extend(tx.reserve(number as usize % 300_000, &Wait::no())),
            5 => {
                if let Some(mut grant) = grants.pop() {
                    grant.fill(7);
                    drop(tx.commit(grant, Header::raw(), &Wait::no()));
                }
            }
            6 => frames.extend(rx.recv(&Wait::no())),
            7 => drop(frames.pop().map(|frame| frame.ack())),
            8 => drop(frames.pop().map(|frame| frame.nack())),
            9 => drop(tx.send(Header::raw(), &vec![1; number as usize % 70_000], &Wait::drop_oldest())),
            10 => {
                frames.extend(rx.recv_dead().ok().flatten());
                tx.trim();
            }
            11 => {
                let (version, len) = (1 + number as u16 % 7, number as usize % 70_000);
                drop(segment.schemas().add(3, "name", version, &vec![1; len]));
                wants.extend(segment.schemas().want(1, "wanted", version..=9));
                drop((wants.len() > 3).then(|| wants.remove(0)));
            }
            12 => {
                // Afresh: what was looked at once is not read again.
                let Ok(late) = Segment::open(path.as_path()) else { continue };
                for schema in late.schemas().iter().flatten() {
                    std::hint::black_box(schema.iter().fold(0u8, |sum, byte| sum ^ byte));
                }
                drop((late.schemas().wanted(1, "wanted"), late.schemas().latest(3, "name")));
            }
            _ => {
                for frame in frames.drain(..) {
                    std::hint::black_box(frame.iter().fold(0u8, |sum, byte| sum ^ byte));
                }
                std::hint::black_box(segment.inspect().to_string());
                drop(Segment::open(path.as_path()));
            }
        }
    }
    drop((grants, frames, wants, tx, rx, segment));
    let _ = std::fs::remove_file(&path);
});
