//! Tables in Rust, beside arrow-rs's own IPC: one line of JSON for each case and peer.
//!
//!     cargo run --release -p slipring-benches --bin tables -- [--rounds 41] [--case read]
//!
//! The peers take turns, a sample each, so that a drift of the machine meets both. A sample is as many calls as take about 5 ms.
#![allow(missing_docs, reason = "a program")]

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use slipring::{Consumer, Frame, Producer, Segment, Wait};
use slipring_codec::format::arrow::{Checks, read};
use slipring_codec::{Body, Content};
use slipring_frames::{ReadTable, SendTyped};
use std::error::Error;
use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SAMPLE: Duration = Duration::from_millis(5);

type Work<'a> = Box<dyn FnMut() + 'a>;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut rounds, mut only) = (41, String::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (&*arg, args.next()) {
            ("--rounds", Some(value)) => rounds = value.parse()?,
            ("--case", Some(value)) => only = value,
            _ => return Err("usage: tables [--rounds N] [--case PART]".into()),
        }
    }
    let ring = Segment::options().capacity(512 << 20).create_anonymous()?;
    let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    for (name, table) in tables()? {
        let wanted = |way| format!("rust/table/{name}/{way}").contains(&only);
        if wanted("write") && name == "1Mx5" {
            write(&format!("rust/table/{name}/write"), &table, &mut tx, &mut rx, rounds)?;
        }
        if wanted("read") {
            tx.send_typed(&table, None, &Wait::no())?;
            let frame = Arc::new(rx.recv(&Wait::no())?);
            reads(&format!("rust/table/{name}/read"), &table, &frame, rounds)?;
        }
    }
    Ok(())
}

/// The table of `benches/python/codec.py`, its columns of one width, and its texts.
fn tables() -> Result<Vec<(&'static str, RecordBatch)>, Box<dyn Error>> {
    let n = 1_000_000;
    let mut state = 1u64;
    let mut draw = || {
        // Knuth's linear congruential generator: it is no matter which numbers they are.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(0..n));
    let price: ArrayRef = Arc::new(Float64Array::from_iter_values((0..n).map(|_| draw() as f64)));
    let day: ArrayRef =
        Arc::new(Int32Array::from_iter_values((0..n).map(|_| (draw() % 20_000) as i32)));
    let cities = (0..n).map(|_| ["Oslo", "Lima", "Kyoto"][draw() as usize % 3]);
    let city: ArrayRef = Arc::new(cities.collect::<DictionaryArray<Int32Type>>());
    let note: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..n).map(|row| format!("note {row}"))));
    let gaps: ArrayRef =
        Arc::new((0..n).map(|row| (row % 9 > 0).then_some(row)).collect::<Int64Array>());
    let of = |columns: &[&ArrayRef], rows: usize| {
        let named = columns.iter().zip(["a", "b", "c", "d", "e"]);
        RecordBatch::try_from_iter(named.map(|(column, name)| (name, column.slice(0, rows))))
    };
    let numbers = [&id, &price, &day, &price, &id];
    Ok(vec![
        ("1Mx5", of(&[&id, &price, &day, &city, &note], n as usize)?),
        ("1Mx5-numbers", of(&numbers, n as usize)?),
        ("1kx5-numbers", of(&numbers, 1000)?),
        ("1Mx1-nulls", of(&[&gaps], n as usize)?),
        ("1Mx1-dictionary", of(&[&city], n as usize)?),
        ("1Mx1-texts", of(&[&note], n as usize)?),
    ])
}

fn write(
    case: &str,
    table: &RecordBatch,
    tx: &mut Producer,
    rx: &mut Consumer,
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let stream = ipc(table, Vec::new())?;
    let mut place = vec![0u8; stream.len() + (1 << 20)];
    let mut other = vec![0u8; stream.len()];
    let peers: Vec<(&str, Work<'_>)> = vec![
        (
            "slipring",
            Box::new(|| {
                tx.send_typed(table, None, &Wait::no()).expect("room");
                drop(rx.recv(&Wait::no()).expect("the frame"));
            }),
        ),
        (
            "arrow-rs IPC",
            Box::new(|| {
                black_box(ipc(table, Cursor::new(&mut place[..])).expect("room"));
            }),
        ),
        ("memcpy", Box::new(|| other.copy_from_slice(&stream))),
    ];
    measure(case, peers, rounds);
    Ok(())
}

fn ipc<W: std::io::Write>(table: &RecordBatch, out: W) -> Result<W, Box<dyn Error>> {
    let mut writer = StreamWriter::try_new(out, table.schema_ref())?;
    writer.write(table)?;
    Ok(writer.into_inner()?)
}

/// Opened anew by each call, and so checked each time.
fn reads(
    case: &str,
    table: &RecordBatch,
    frame: &Arc<Frame>,
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let stream = Buffer::from_vec(ipc(table, Vec::new())?);
    let decode = |checked: bool| {
        let mut input = stream.clone();
        let mut decoder = StreamDecoder::new();
        if !checked {
            // SAFETY: arrow-rs has just written it.
            decoder = unsafe { decoder.with_skip_validation(true) };
        }
        let mut batches = Vec::new();
        while let Some(batch) = decoder.decode(&mut input).expect("a good stream") {
            batches.push(batch);
        }
        batches
    };
    assert_eq!(Arc::clone(frame).table()?.batches[0], *table);
    assert_eq!(decode(true)[0], *table);
    let places = |checks: Checks| {
        let header = frame.header();
        let body = Body::open(header.format, header.flags, header.type_code, frame);
        let Ok(Content::Arrow(headed)) = body.expect("a body").content() else {
            unreachable!("a table")
        };
        black_box(read(&headed, None, checks).expect("a good table"));
    };
    let peers: Vec<(&str, Work<'_>)> = vec![
        ("slipring", Box::new(|| drop(black_box(Arc::clone(frame).table().expect("a table"))))),
        ("slipring, places alone", Box::new(|| places(Checks::Safe))),
        ("arrow-rs IPC", Box::new(|| drop(black_box(decode(true))))),
        ("arrow-rs IPC, no checks", Box::new(|| drop(black_box(decode(false))))),
    ];
    measure(case, peers, rounds);
    Ok(())
}

fn measure(case: &str, mut peers: Vec<(&str, Work<'_>)>, rounds: usize) {
    let clock = |work: &mut Work<'_>, calls: u32| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    let calls: Vec<u32> = peers
        .iter_mut()
        .map(|(_, work)| {
            clock(work, 2);
            (SAMPLE.as_secs_f64() * 1e6 / clock(work, 3)).max(1.0) as u32
        })
        .collect();
    let mut times = vec![Vec::with_capacity(rounds); peers.len()];
    for _ in 0..rounds {
        for (((_, work), &calls), times) in peers.iter_mut().zip(&calls).zip(&mut times) {
            times.push(clock(work, calls));
        }
    }
    for ((peer, _), mut times) in peers.into_iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let (median, min, max) = (times[rounds / 2], times[0], times[rounds - 1]);
        println!(
            "{{\"case\": \"{case}\", \"peer\": \"{peer}\", \"metric\": \"time\", \"unit\": \"us\", \
             \"median\": {median:.3}, \"min\": {min:.3}, \"max\": {max:.3}}}"
        );
    }
}
