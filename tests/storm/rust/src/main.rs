//! A worker of the storm, on either side of the ring, to be killed at any moment.
//!
//! `slipring-storm produce|consume RING LIFE FOLDER manual|auto`. What it does is written to a log, a record
//! before and after each step, so that the storm can account for every frame; `storm.py` says what a record
//! and a frame look like. The files `stop-produce` and `stop-consume` in the folder end it.

use slipring::{Delivery, Error, Frame, Header, Producer, Schema, Segment, Wait};
use std::error::Error as Failure;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What happened to a frame.
#[derive(Clone, Copy)]
enum Step {
    Begun = 1,
    Sent = 2,
    Got = 3,
    Acked = 4,
    GivenBack = 5,
    Dead = 6,
}

struct Log(File);

impl Log {
    fn write(&mut self, step: Step, id: (u32, u32), again: bool) {
        let mut record = [0; 20];
        record[..4].copy_from_slice(&id.0.to_le_bytes());
        record[4..8].copy_from_slice(&id.1.to_le_bytes());
        record[8] = step as u8;
        record[9] = again.into();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        record[12..].copy_from_slice(&(now as u64).to_le_bytes());
        self.0.write_all(&record).expect("the log");
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Most frames are small, few are of several MiB.
    fn len(&mut self) -> usize {
        (match self.roll(100) {
            0..60 => self.roll(160),
            60..70 => 0,
            70..90 => self.roll(8000),
            90..99 => self.roll(300_000),
            _ => self.roll(3 << 20),
        }) as usize
    }
}

const HEAD: usize = 12;

fn fill(body: &mut [u8], id: (u32, u32)) {
    let len = (body.len() - HEAD) as u32;
    for (at, word) in [id.0, id.1, len].into_iter().enumerate() {
        body[at * 4..][..4].copy_from_slice(&word.to_le_bytes());
    }
    body[HEAD..].fill(pattern(id));
}

fn pattern(id: (u32, u32)) -> u8 {
    id.0.wrapping_mul(31).wrapping_add(id.1.wrapping_mul(7)) as u8
}

fn check(body: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_le_bytes(body[at * 4..][..4].try_into().expect("4 bytes"));
    let id = (word(0), word(1));
    let right = body[HEAD..].iter().all(|&byte| byte == pattern(id));
    assert!(right && word(2) as usize == body.len() - HEAD, "frame {id:?} is damaged");
    id
}

/// Adds one of the schemas that all workers add, which is as `storm.py` checks it.
fn schema(tx: &Producer, dice: &mut Dice) -> Result<Schema, Error> {
    let version = 1 + dice.roll(100) as u16;
    let bytes = vec![version as u8; usize::from(version) * 100];
    let added = tx.segment().schemas().add(1, "storm", version, &bytes)?;
    assert!(*added == *bytes, "schema {version} is damaged");
    Ok(added)
}

fn produce(tx: &mut Producer, life: u32, log: &mut Log, stop: &Path) -> Result<(), Error> {
    let wait = Wait::for_up_to(Duration::from_millis(500));
    let mut dice = Dice(u64::from(life + 1) << 20);
    let mut number = 0;
    while !stop.exists() {
        let id = (life, number);
        let len = HEAD + dice.len();
        let full = |error: &Error| matches!(error, Error::Timeout | Error::Full);
        let mut header = Header::raw();
        if dice.roll(8) == 0 {
            header = header.with_schema(&schema(tx, &mut dice)?);
        }
        match dice.roll(4) {
            // Two reservations, committed in the order of their numbers, the later one filled first.
            0 => {
                let Ok(mut first) = tx.reserve(len, &wait) else { continue };
                let Ok(mut second) = tx.reserve(HEAD, &wait) else { continue };
                fill(&mut second, (life, number + 1));
                fill(&mut first, id);
                for (id, grant) in [(id, first), ((life, number + 1), second)] {
                    log.write(Step::Begun, id, false);
                    let mut grant = Some(grant);
                    while let Some(ready) = grant.take() {
                        if let Err(mut rejected) = tx.commit(ready, Header::raw(), &wait) {
                            grant = rejected.grant.take();
                            if !full(&rejected.error) || stop.exists() {
                                return Ok(());
                            }
                        }
                    }
                    log.write(Step::Sent, id, false);
                }
                number += 2;
            }
            _ => {
                log.write(Step::Begun, id, false);
                match tx.send_with(header, len, |body| fill(body, id), &wait) {
                    Ok(()) => {
                        log.write(Step::Sent, id, false);
                        number += 1;
                    }
                    Err(error) if full(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

fn consume(
    segment: &Segment,
    life: u32,
    log: &mut Log,
    stop: &Path,
    manual: bool,
) -> Result<(), Error> {
    let delivery = if manual { Delivery::AtLeastOnce { limit: 32 } } else { Delivery::AtMostOnce };
    let mut rx = segment.consumer_with(delivery)?;
    let mut dice = Dice(u64::from(life + 1) << 30);
    let mut held: Vec<Frame> = Vec::new();
    loop {
        let ended = match rx.recv(&Wait::for_up_to(Duration::from_millis(50))) {
            Ok(frame) => {
                log.write(Step::Got, check(&frame), frame.redeliveries() > 0);
                held.push(frame);
                false
            }
            Err(Error::Unacknowledged { .. }) => false,
            Err(Error::Timeout) => true,
            Err(error) => return Err(error),
        };
        while !held.is_empty() && (ended || held.len() > 8 || dice.roll(2) == 0) {
            let frame = held.swap_remove(dice.roll(held.len() as u64) as usize);
            let id = check(&frame);
            if manual && dice.roll(20) == 0 && !stop.exists() {
                log.write(Step::GivenBack, id, false);
                frame.nack()?;
            } else {
                frame.ack()?;
                log.write(Step::Acked, id, false);
            }
        }
        if ended && stop.exists() {
            while let Some(letter) = rx.recv_dead()? {
                letter.ack()?;
                log.write(Step::Dead, check(&letter), true);
            }
            return Ok(());
        }
    }
}

fn main() -> Result<(), Box<dyn Failure>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [role, ring, life, folder, delivery] = &words[..] else {
        return Err("produce|consume RING LIFE FOLDER manual|auto".into());
    };
    let (life, folder) = (life.parse()?, PathBuf::from(folder));
    let mut log = Log(File::create(folder.join(format!("{role}-{life}.log")))?);
    let stop = folder.join(format!("stop-{role}"));
    let segment = Segment::open(ring.as_str())?;
    match role.as_str() {
        "produce" => produce(&mut segment.producer()?, life, &mut log, &stop)?,
        _ => consume(&segment, life, &mut log, &stop, delivery == "manual")?,
    }
    Ok(())
}
