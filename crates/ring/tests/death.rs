//! Real processes, killed at random moments: the survivor goes on, a new one takes the dead one's
//! place, every committed frame is accounted for.
//!
//! `SLIPRING_KILLS` sets how many (default 200).

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests stand outside the facade"
)]

use slipring::{Error, Header, Schemas, Segment, Wait};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LIVES: usize = 4096;

/// What the children tell, in memory that outlives them.
#[repr(C)]
struct Ledger {
    stop: AtomicU64,
    /// Per life of the producer: frames it began to send, and frames it saw sent.
    begun: [AtomicU64; LIVES],
    sent: [AtomicU64; LIVES],
    /// Consumers killed so far.
    deaths: AtomicU64,
    /// The next frame that should come: `life of the producer(12) | deaths then known(12) | number(40)`.
    next: AtomicU64,
    received: AtomicU64,
    /// Frames that never came, and those of them that no dead consumer can have had in hand.
    lost: AtomicU64,
    lost_by_none: AtomicU64,
    /// Frames that came twice, out of order, or with wrong bytes or another schema than they should.
    wrong: AtomicU64,
    /// Schemas whose adding was answered for, by version.
    added: [AtomicU64; VERSIONS as usize],
}

/// Versions that the children add, all in the end.
const VERSIONS: u16 = 120;

impl Ledger {
    /// A frame came, or at the end none comes any more: what should have come before it is lost. That
    /// may only be one frame for each consumer that was killed since the last one came.
    fn account(&self, life: u64, number: u64) -> bool {
        let next = self.next.load(Ordering::SeqCst);
        let (last_life, known, expected) = (next >> 52, next >> 40 & 0xfff, next & ((1 << 40) - 1));
        if (life, number) < (last_life, expected) {
            return false;
        }
        let mut missing = 0;
        let mut from = expected;
        for dead in last_life..life {
            missing += self.sent[dead as usize].load(Ordering::SeqCst).saturating_sub(from);
            from = 0;
        }
        missing += number - from;
        let deaths = self.deaths.load(Ordering::SeqCst);
        self.lost.fetch_add(missing, Ordering::SeqCst);
        self.lost_by_none.fetch_add(missing.saturating_sub(deaths - known), Ordering::SeqCst);
        // One store: a death before it leaves the account as it was, a death after it comes later.
        self.next.store(life << 52 | deaths << 40 | (number + 1), Ordering::SeqCst);
        true
    }
}

fn ledger() -> &'static Ledger {
    let (len, protection) = (size_of::<Ledger>(), libc::PROT_READ | libc::PROT_WRITE);
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh anonymous mapping, zeroed, which is a valid ledger, and never unmapped.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast::<Ledger>()
    }
}

/// Forks; the child runs `life` and never returns.
fn spawn(life: impl FnOnce()) -> i32 {
    // SAFETY: the child opens what it needs anew and leaves by `_exit` or by being killed.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: asks to be killed when the test's thread ends, so that a failed test leaves nobody behind.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) };
    }
    pid
}

fn end(pid: i32, kill: bool) -> i32 {
    let mut status = 0;
    // SAFETY: our own child.
    unsafe {
        if kill {
            libc::kill(pid, libc::SIGKILL);
        }
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
    }
    status
}

fn len(life: u64, number: u64) -> usize {
    match (life + number) % 16 {
        0 => 300_000,
        1..=3 => 3000 + (number % 700) as usize,
        _ => 16 + (number % 180) as usize,
    }
}

/// Adds one of the versions, of 10 to 7,000 bytes, which others may be adding.
fn add_schema(schemas: &Schemas, ledger: &Ledger, seed: u64) -> u32 {
    let version = 1 + (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u16 % VERSIONS;
    let bytes = schema_bytes(version);
    let added = schemas.add(3, "death", version, &bytes).unwrap();
    assert!(*added == *bytes, "schema {version}");
    let word = &ledger.added[usize::from(version) - 1];
    let id = added.id().get();
    // An id that was answered for stands for the same for ever.
    let before = word.swap(id.into(), Ordering::SeqCst);
    assert!([0, u64::from(id)].contains(&before), "schema {version} is {before} and {id}");
    id
}

fn schema_bytes(version: u16) -> Vec<u8> {
    vec![version as u8; 10 + usize::from(version) * 977 % 7000]
}

fn produce(name: &str, ledger: &Ledger, life: usize) {
    let segment = Segment::open(name).unwrap();
    let (mut tx, schemas) = (segment.producer().unwrap(), segment.schemas());
    for number in 0.. {
        if ledger.stop.load(Ordering::Relaxed) != 0 {
            break;
        }
        let len = len(life as u64, number);
        let mut header = Header::raw();
        if number % 4 == 0 {
            header.schema_id = add_schema(&schemas, ledger, (life as u64) << 20 | number);
        }
        ledger.begun[life].store(number + 1, Ordering::SeqCst);
        // Every third through a reservation, so that deaths meet that path too.
        if number % 3 == 0 {
            let mut grant = tx.reserve(len, &Wait::forever()).unwrap();
            fill(&mut grant, life as u64, number);
            tx.commit(grant, header, &Wait::forever()).unwrap();
        } else {
            let mut body = vec![0; len];
            fill(&mut body, life as u64, number);
            tx.send(header, &body, &Wait::forever()).unwrap();
        }
        ledger.sent[life].store(number + 1, Ordering::SeqCst);
    }
}

fn fill(body: &mut [u8], life: u64, number: u64) {
    body[..8].copy_from_slice(&life.to_le_bytes());
    body[8..16].copy_from_slice(&number.to_le_bytes());
    let pattern = (life * 31 + number) as u8;
    body[16..].fill(pattern);
}

fn consume(name: &str, ledger: &Ledger) {
    let segment = Segment::open(name).unwrap();
    let (mut rx, schemas) = (segment.consumer().unwrap(), segment.schemas());
    let mut held = std::collections::VecDeque::new();
    let mut wants = Vec::new();
    loop {
        let frame = match rx.recv(&Wait::for_up_to(Duration::from_millis(50))) {
            Ok(frame) => frame,
            Err(Error::Timeout) if ledger.stop.load(Ordering::Relaxed) == 2 => return,
            Err(Error::Timeout) => continue,
            Err(error) => panic!("{error}"),
        };
        let life = u64::from_le_bytes(frame[..8].try_into().unwrap());
        let number = u64::from_le_bytes(frame[8..16].try_into().unwrap());
        let pattern = (life * 31 + number) as u8;
        let right = frame.len() == len(life, number)
            && frame[16..].iter().all(|&byte| byte == pattern)
            && ledger.account(life, number)
            && named(&schemas, frame.header().schema_id) == (number % 4 == 0);
        ledger.wrong.fetch_add(u64::from(!right), Ordering::SeqCst);
        ledger.received.fetch_add(1, Ordering::SeqCst);
        // Some leases are held on, so that deaths leave leases behind.
        held.push_back(frame);
        if held.len() > 5 {
            held.pop_front();
        }
        // This side adds some, too, and says what it reads.
        if number % 5 == 0 {
            add_schema(&schemas, ledger, number << 20 | life);
            wants.push(schemas.want(3, "death", 1..=100 + (number % 20) as u16).unwrap());
            wants.drain(..wants.len().saturating_sub(3));
        }
    }
}

/// Whether an id names one of the schemas, whole.
fn named(schemas: &Schemas, id: u32) -> bool {
    let Some(id) = slipring::SchemaId::new(id) else { return false };
    let schema = schemas.get(id).unwrap().expect("a schema that a frame names");
    assert!(*schema == *schema_bytes(schema.version()), "schema {id}");
    true
}

/// P2, P6, R2.4: see the module's words.
#[test]
fn killed_producers_and_consumers_are_replaced_and_nothing_is_lost() {
    let kills: usize =
        std::env::var("SLIPRING_KILLS").map_or(200, |n| n.parse().expect("SLIPRING_KILLS"));
    assert!(kills < LIVES, "SLIPRING_KILLS is at most {}", LIVES - 1);
    let name = format!("test-death-{}", std::process::id());
    let name = name.as_str();
    let segment = Segment::options().slots(64).capacity(8 << 20).create(name).unwrap();
    let ledger = ledger();
    let mut life = 0;
    let mut producer = spawn(|| produce(name, ledger, life));
    let mut consumer = spawn(|| consume(name, ledger));
    let mut seed = u64::from(std::process::id()) | 1;
    for _ in 0..kills {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(Duration::from_micros(200 + seed % 8000));
        if seed & 64 == 0 {
            assert_eq!(end(producer, true), libc::SIGKILL, "it ended by itself");
            life += 1;
            producer = spawn(|| produce(name, ledger, life));
        } else {
            assert_eq!(end(consumer, true), libc::SIGKILL, "it ended by itself");
            ledger.deaths.fetch_add(1, Ordering::SeqCst);
            consumer = spawn(|| consume(name, ledger));
        }
    }
    // The last pair gets somewhere: nobody is stuck.
    let start = Instant::now();
    let before = ledger.sent[life].load(Ordering::SeqCst);
    while ledger.sent[life].load(Ordering::SeqCst) < before + 1000 {
        assert!(start.elapsed() < Duration::from_secs(30), "no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
    ledger.stop.store(1, Ordering::SeqCst);
    assert_eq!(end(producer, false), 0);
    ledger.stop.store(2, Ordering::SeqCst);
    assert_eq!(end(consumer, false), 0);

    let committed = (0..=life)
        .map(|life| {
            let begun = ledger.begun[life].load(Ordering::SeqCst);
            let sent = ledger.sent[life].load(Ordering::SeqCst);
            assert!(begun - sent <= 1, "life {life}: {begun} begun, {sent} sent");
            sent
        })
        .sum::<u64>();
    ledger.account(life as u64, ledger.sent[life].load(Ordering::SeqCst));
    let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
    let (received, lost) = (count(&ledger.received), count(&ledger.lost));
    println!(
        "{kills} kills, {committed} frames committed, {received} received, {lost} died in their consumer's hands"
    );
    assert_eq!(count(&ledger.wrong), 0);
    // At most once: a consumer that is killed may take the one frame with it that it had in hand.
    assert_eq!(count(&ledger.lost_by_none), 0, "{lost} lost in all");
    // Whoever joins next recovers what the last dead one left.
    drop(Segment::open(name).unwrap());
    let left = segment.inspect();
    assert_eq!((left.waiting, left.frames), (0, Default::default()), "{left}");
    assert_eq!(left.processes.len(), 1, "{left}");
    // Each schema once, with the id that was answered, and no room lost to those who died adding them.
    let schemas = segment.schemas();
    assert_eq!(schemas.readable(3, "death"), None);
    assert_eq!(left.schema_room[2], schemas.iter().count() as u64, "{left}");
    let mut found = vec![0; VERSIONS.into()];
    for schema in schemas.iter().map(Result::unwrap).filter(|schema| schema.version() > 0) {
        let id =
            std::mem::replace(&mut found[usize::from(schema.version()) - 1], schema.id().get());
        assert_eq!(id, 0, "version {} twice", schema.version());
        assert_eq!(*schema, schema_bytes(schema.version()));
    }
    for (id, added) in found.iter().zip(&ledger.added) {
        assert!([0, u64::from(*id)].contains(&count(added)), "an id that was answered is gone");
    }
    println!("{} schemas", left.schemas.len());
}

/// P6: what a dead process was is not said of the one that gets its id.
#[test]
fn a_dead_ones_role_is_not_its_successors() {
    let name = format!("death-roles-{}", std::process::id());
    let child = spawn(|| {
        let segment = Segment::options().capacity(1 << 20).create(name.as_str()).unwrap();
        let (_tx, _rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
        // SAFETY: waits to be killed.
        unsafe { libc::pause() };
    });
    let start = Instant::now();
    while !slipring::inspect(name.as_str())
        .is_ok_and(|found| found.processes.iter().any(|process| process.consumes))
    {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
    end(child, true);
    let segment = Segment::open(name.as_str()).unwrap();
    let _rx = segment.consumer().unwrap();
    let found = segment.inspect();
    assert_eq!(found.processes.len(), 1);
    assert_eq!((found.processes[0].produces, found.processes[0].consumes), (false, true));
}

/// P6, R2.4: a process that does nothing but add schemas, killed all the time, some times in the middle: each is there
/// once and whole, and the room of those that were not placed is there again.
#[test]
fn who_dies_adding_a_schema_leaves_no_room_behind() {
    /// Long enough to be met while it is written.
    const LEN: usize = 48_000;
    let kills: usize =
        std::env::var("SLIPRING_KILLS").map_or(200, |n| n.parse().expect("SLIPRING_KILLS"));
    let (name, ledger) = (format!("death-schemas-{}", std::process::id()), ledger());
    let options = Segment::options().capacity(1 << 20).schemas(4096);
    let segment = options.create(name.as_str()).unwrap();
    let mut seed = u64::from(std::process::id()) | 1;
    for life in 0..kills {
        let adder = spawn(|| {
            let schemas = Segment::open(name.as_str()).unwrap().schemas();
            // What is there is looked at before.
            schemas.iter().for_each(|schema| drop(schema.unwrap()));
            let bytes = vec![life as u8; LEN + life % 100];
            ledger.begun[life].store(1, Ordering::SeqCst);
            match schemas.add(life as u16, "slow", 1, &bytes) {
                Ok(added) => {
                    assert!(*added == *bytes);
                    ledger.sent[life].store(1, Ordering::SeqCst);
                }
                Err(error) => assert!(matches!(error, Error::NoRoomForSchema { .. }), "{error}"),
            }
            // SAFETY: waits to be killed.
            unsafe { libc::pause() };
        });
        while ledger.begun[life].load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (start, after) = (Instant::now(), Duration::from_nanos(seed % 60_000));
        while start.elapsed() < after {}
        assert_eq!(end(adder, true), libc::SIGKILL, "it ended by itself");
    }
    drop(Segment::open(name.as_str()).unwrap());
    let left = segment.inspect();
    assert_eq!(left.processes.len(), 1, "{left}");
    let mut keys = std::collections::HashSet::new();
    for schema in segment.schemas().iter() {
        let schema = schema.unwrap();
        assert!(keys.insert((schema.kind(), schema.version())), "one twice");
        assert_eq!(schema.len(), LEN + usize::from(schema.kind()) % 100);
        assert!(schema.iter().all(|byte| *byte == schema.kind() as u8));
    }
    for (life, sent) in ledger.sent[..kills].iter().enumerate() {
        let there = sent.load(Ordering::SeqCst) == 0 || keys.contains(&(life as u16, 1));
        assert!(there, "one that was answered is gone");
    }
    assert_eq!(left.schema_room[2], keys.len() as u64, "{left}");
    // Runs of three chunks each: as many as there ever could have been.
    let died = kills - keys.len();
    println!("{kills} kills, {died} before it was placed");
    assert!(died > 0 || kills < 100, "none was killed in the middle");
    let (schemas, bytes) = (segment.schemas(), vec![1; LEN]);
    let more = (0..).take_while(|n| schemas.add(*n, "more", 1, &bytes).is_ok()).count();
    assert_eq!(keys.len() + more, (left.schema_room[0] >> 14) as usize / 3, "room is lost");
}
