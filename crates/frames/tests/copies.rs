//! How many bytes are copied and allocated between an object and its frame.
//!
//! The allocator and `memcpy` of this program count. What is not copied by `memcpy`, such as offsets that are counted anew, goes
//! through no other memory either: nothing of the data's size is allocated.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::disallowed_types, reason = "counters of a test")]

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, StringViewArray, types::Int32Type,
};
use slipring::{Consumer, Producer, Segment, Wait};
use slipring_codec::Value;
use slipring_frames::{Array, Outgoing, ReadTable, ReadTyped, SendTyped};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static COPIED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: it is the system's, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// # Safety
/// As C says of `memcpy`: both places have `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // What is smaller is the program's own moving about.
    if len >= SMALL {
        COPIED.fetch_add(len, Ordering::Relaxed);
    }
    // SAFETY: by the contract; the direction flag is clear, as the ABI says. It is an instruction, since a loop might be made into
    // a call of this very function.
    unsafe {
        std::arch::asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// What `work` has copied and allocated. One at a time: the counters are the program's.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = (COPIED.load(Ordering::Relaxed), ALLOCATED.load(Ordering::Relaxed));
    let done = work();
    let after = (COPIED.load(Ordering::Relaxed), ALLOCATED.load(Ordering::Relaxed));
    (done, after.0 - before.0, after.1 - before.1)
}

/// Copies that are not counted are shorter: each piece of data here is longer.
const SMALL: usize = 1024;
/// Beside the data: heads, plans, headers.
const ASIDE: usize = 32 << 10;

/// Sends, and answers what was copied and the length of the body.
fn send(tx: &mut Producer, what: &(impl Outgoing + ?Sized), name: &str) -> (usize, usize) {
    let len = what.plan(None).expect("a form").body_len();
    let (sent, copied, allocated) = counted(|| tx.send_typed(what, None, &Wait::no()));
    sent.expect("room");
    assert!(allocated < ASIDE, "{name}: {allocated} bytes were allocated for {len}");
    assert!(copied < len + ASIDE, "{name}: {copied} bytes were copied for {len}");
    (copied, len)
}

fn table(rows: usize) -> RecordBatch {
    let texts = || (0..rows).map(|row| format!("a text that is no short one, row {row}"));
    let columns: [(&str, ArrayRef); 8] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("half", Arc::new((0..rows).map(|row| Some(row as f64)).collect::<Float64Array>())),
        (
            "gaps",
            Arc::new((0..rows).map(|r| (r % 3 > 0).then_some(r as i64)).collect::<Int64Array>()),
        ),
        ("truth", Arc::new((0..rows).map(|row| Some(row % 5 == 0)).collect::<BooleanArray>())),
        ("text", Arc::new(StringArray::from_iter_values(texts()))),
        ("view", Arc::new(StringViewArray::from_iter_values(texts()))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                (0..rows).map(|row| Some(vec![Some(row as i32); row % 4])),
            )),
        ),
        (
            "word",
            Arc::new(
                (0..rows)
                    .map(|row| ["one", "two"][row % 2])
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns")
}

fn tables(tx: &mut Producer, rx: &mut Consumer) {
    for (name, batch, by_loops) in [
        ("whole", table(100_000), 0),
        // Offsets are counted anew, and bits shifted: by loops, from the array into the frame.
        ("slice", table(150_000).slice(10_001, 100_000), 100_000 * (4 + 4) + 3 * 100_000 / 8),
    ] {
        let (copied, len) = send(tx, &batch, name);
        assert!(copied + by_loops + ASIDE > len, "{name}: {copied} of {len}: what did the rest?");

        let frame = rx.recv(&Wait::no()).expect("the frame");
        let (table, copied, allocated) = counted(|| frame.table());
        let table = table.expect("a table");
        assert!(copied < ASIDE && allocated < ASIDE, "{name}: {copied}, {allocated} to read {len}");
        assert_eq!(table.batches, [batch], "{name}");
    }
}

fn values(tx: &mut Producer, rx: &mut Consumer) {
    let numbers = vec![1.5f64; 1 << 19];
    let array = Array::new(&numbers, &[1 << 10, 1 << 9]).expect("a shape");
    let (copied, len) = send(tx, &array, "array");
    assert!(copied + ASIDE > len);
    let frame = rx.recv(&Wait::no()).expect("the frame");
    let (same, copied, allocated) =
        counted(|| frame.array::<f64>().expect("an array").elements().len() == numbers.len());
    assert!(same && copied < ASIDE && allocated < ASIDE, "array: {copied}, {allocated}");
    drop(frame);

    let blob = Value::Array(vec![Value::Bytes(vec![7; 4 << 20]), Value::Null]);
    let (copied, len) = send(tx, &blob, "blob");
    assert!(copied + ASIDE > len);
    drop(rx.recv(&Wait::no()));
    let texts = Value::Array(vec![Value::from("a text among many"); 100_000]);
    send(tx, &texts, "texts");
    drop(rx.recv(&Wait::no()));
}

/// R14.1, R14.2: one copy of the data on the way in, none on the way out, and no memory of its size in between.
#[test]
fn data_is_copied_once() {
    // What is counted is there: a copy, and an allocation.
    let bytes = vec![1u8; 1 << 20];
    let (again, copied, allocated) = counted(|| bytes.clone());
    assert_eq!(again, bytes);
    assert!((1 << 20..1 << 21).contains(&copied), "{copied}");
    assert!((1 << 20..1 << 21).contains(&allocated), "{allocated}");

    let ring = Segment::options().capacity(64 << 20).create_anonymous().expect("a ring");
    let (mut tx, mut rx) = (ring.producer().expect("an end"), ring.consumer().expect("an end"));
    tables(&mut tx, &mut rx);
    values(&mut tx, &mut rx);
}
