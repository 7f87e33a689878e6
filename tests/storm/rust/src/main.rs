//! A worker of the storm, on either side of the ring, to be killed at any moment.
//!
//! `slipring-storm produce|consume RING LIFE FOLDER manual|auto one|many drop|wait`. What it does is written to a log, a record
//! before and after each step, so that the storm can account for every frame; `storm.py` says what a record
//! and a frame look like. The files `stop-produce` and `stop-consume` in the folder end it.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

use slipring::{Delivery, Error, Frame, Header, Producer, Schema, Segment, Wait};
use std::error::Error as Failure;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
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

/// Which frame: by its life and number for who sends it; by its header for who gets it, and the life that its
/// body says.
#[derive(Clone, Copy, Debug)]
struct Id {
    life: u32,
    number: u32,
    handle: u32,
    len: u32,
}

/// The life of a frame that is too short to say it.
const UNSAID: u32 = u32::MAX;

struct Log(File);

impl Log {
    fn write(&mut self, step: Step, id: Id, again: bool) {
        let mut record = [0; 28];
        for (at, word) in [id.life, id.number, id.handle, id.len].into_iter().enumerate() {
            record[at * 4..][..4].copy_from_slice(&word.to_le_bytes());
        }
        record[16] = step as u8;
        record[17] = again.into();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        record[20..].copy_from_slice(&(now as u64).to_le_bytes());
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

    /// Most frames are small, some empty, few of several MiB.
    fn len(&mut self) -> usize {
        (match self.roll(100) {
            0..60 => self.roll(160),
            60..65 => 0,
            65..70 => self.roll(12),
            70..90 => self.roll(8000),
            90..99 => self.roll(300_000),
            _ => self.roll(LONGEST as u64),
        }) as usize
    }
}

const HEAD: usize = 12;
const LONGEST: usize = 3 << 20;
const PERIOD: usize = 65_521;

/// Bytes that look random, and begin anew after a prime.
static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let next =
        |state: &u32| Some(state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7FFF_FFFF);
    let states = std::iter::successors(next(&1), next);
    let once: Vec<u8> = states.take(PERIOD).map(|state| (state >> 16) as u8).collect();
    once.repeat(LONGEST / PERIOD + 2)
});

/// What the frame consists of.
fn parts(id: Id) -> ([u8; HEAD], &'static [u8]) {
    let mut head = [0; HEAD];
    for (at, word) in [id.life, id.number, id.len].into_iter().enumerate() {
        head[at * 4..][..4].copy_from_slice(&word.to_le_bytes());
    }
    let len = id.len as usize;
    let (life, rest) = if len < HEAD { (0, len) } else { (u64::from(id.life), len - HEAD) };
    let start = (life * 31 + u64::from(id.number) * 7919) as usize % PERIOD;
    (head, &TABLE[start..start + rest])
}

fn fill(body: &mut [u8], id: Id) {
    let (head, rest) = parts(id);
    let at = body.len() - rest.len();
    body[..at].copy_from_slice(&head[..at]);
    body[at..].copy_from_slice(rest);
}

fn check(frame: &Frame) -> Id {
    let (header, body): (_, &[u8]) = (frame.header(), frame);
    let life = match body {
        [a, b, c, d, ..] if body.len() >= HEAD => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => UNSAID,
    };
    let number = header.sequence as u32;
    let id = Id { life, number, handle: header.producer, len: body.len() as u32 };
    let (head, rest) = parts(id);
    let at = body.len() - rest.len();
    assert!(body[..at] == head[..at] && &body[at..] == rest, "frame {id:?} is damaged");
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

fn produce(
    tx: &mut Producer,
    life: u32,
    log: &mut Log,
    stop: &Path,
    drops: bool,
) -> Result<(), Error> {
    let mut dice = Dice(u64::from(life + 1) << 20);
    let mut number = 0;
    while !stop.exists() {
        let wait = if drops && dice.roll(2) == 0 {
            Wait::drop_oldest()
        } else {
            Wait::for_up_to(Duration::from_millis(500))
        };
        let id = Id { life, number, handle: 0, len: dice.len() as u32 };
        let full = |error: &Error| matches!(error, Error::Timeout | Error::Full);
        let mut header = Header::raw();
        if dice.roll(8) == 0 {
            header = header.with_schema(&schema(tx, &mut dice)?);
        }
        match dice.roll(4) {
            // Two reservations, committed in the order of their numbers, the later one filled first.
            0 => {
                let next = Id { number: number + 1, len: dice.roll(50) as u32, ..id };
                let Ok(mut first) = tx.reserve(id.len as usize, &wait) else { continue };
                let Ok(mut second) = tx.reserve(next.len as usize, &wait) else { continue };
                fill(&mut second, next);
                fill(&mut first, id);
                for (id, grant) in [(id, first), (next, second)] {
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
                match tx.send_with(header, id.len as usize, |body| fill(body, id), &wait) {
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
    let [role, ring, life, folder, delivery, _, drop] = &words[..] else {
        return Err("produce|consume RING LIFE FOLDER manual|auto one|many drop|wait".into());
    };
    let (life, folder) = (life.parse()?, PathBuf::from(folder));
    let mut log = Log(File::create(folder.join(format!("{role}-{life}.log")))?);
    let stop = folder.join(format!("stop-{role}"));
    let segment = Segment::open(ring.as_str())?;
    match role.as_str() {
        "produce" => {
            produce(&mut segment.producer()?, life, &mut log, &stop, drop == "drop")?;
        }
        _ => consume(&segment, life, &mut log, &stop, delivery == "manual")?,
    }
    Ok(())
}
