//! Versions of a schema as it grew, between programs of different ages; the other one may be in Python or Elixir:
//!
//! ```text
//! readings read NAME VERSION   expects that version on NAME-there, and sends on NAME-back what it reads, or the error
//! readings write NAME          waits until somebody says on NAME what is expected, and sends a table of each version
//! ```

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array};
use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use slipring::{Error, Segment, Wait};
use slipring_codec::Value;
use slipring_codec::evolution::{ALIASES, DEFAULT};
use slipring_frames::{
    Announce, Expectation, Expects, Migrated, ReadTable, SchemaError, SendTyped,
};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

type Failed = Box<dyn std::error::Error>;

/// The columns of a version.
fn columns(version: u16) -> SchemaRef {
    let marked = |field: Field, key: &str, value: &str| {
        field.with_metadata([(key.to_owned(), value.to_owned())])
    };
    let temp = Field::new("temp", DataType::Float32, true);
    let id = Field::new("id", DataType::Int32, false);
    Arc::new(Schema::new(match version {
        1 => vec![id, temp],
        2 => vec![temp, id, Field::new("note", DataType::Utf8, true)],
        _ => vec![
            // Renamed and widened, widened, and added with a default; the note was dropped.
            marked(Field::new("number", DataType::Int64, false), ALIASES, "id"),
            Field::new("temp", DataType::Float64, true),
            marked(Field::new("level", DataType::Int8, false), DEFAULT, "9"),
        ],
    }))
}

/// A row of a version.
fn row(version: u16) -> Result<RecordBatch, Failed> {
    let columns: Vec<ArrayRef> = match version {
        1 => vec![Arc::new(Int32Array::from(vec![1])), Arc::new(Float32Array::from(vec![0.5]))],
        2 => vec![
            Arc::new(Float32Array::from(vec![1.5])),
            Arc::new(Int32Array::from(vec![2])),
            Arc::new(StringArray::from(vec!["dry"])),
        ],
        _ => vec![
            Arc::new(Int64Array::from(vec![3])),
            Arc::new(Float64Array::from(vec![2.5])),
            Arc::new(Int8Array::from(vec![4])),
        ],
    };
    Ok(RecordBatch::try_new(self::columns(version), columns)?)
}

/// Rows of version 1 as those of version 2, which the rules would do otherwise.
fn noted(old: RecordBatch) -> Migrated {
    let note = StringArray::from(vec!["migrated"; old.num_rows()]);
    let columns = vec![Arc::clone(old.column(1)), Arc::clone(old.column(0)), Arc::new(note)];
    Ok(RecordBatch::try_new(self::columns(2), columns)?)
}

/// As a program in another language shows it.
fn told(error: &SchemaError) -> Value {
    let column = error.column().map_or(String::new(), |column| format!(".{column}"));
    Value::Map(vec![
        ("reason".into(), "schema".into()),
        ("path".into(), Value::Text(format!("$.columns{column}"))),
        ("got".into(), Value::from(i64::from(error.written))),
        ("expected".into(), Value::from(i64::from(error.wanted))),
        ("message".into(), Value::Text(error.to_string())),
    ])
}

fn read(name: &str, version: u16) -> Result<(), Failed> {
    let there = Segment::open_within(&*format!("{name}-there"), PATIENCE)?;
    let mut tx = Segment::open_within(&*format!("{name}-back"), PATIENCE)?.producer()?;
    let mut rx = there.consumer()?;
    let asked = Expectation::new("reading", columns(version), version);
    let mut expects = Expects::of(&there);
    expects.expect(if version == 2 { asked.migration(1, noted) } else { asked })?;
    loop {
        let frame = match rx.recv(&Wait::for_up_to(PATIENCE)) {
            Err(Error::Closed) => return Ok(()),
            frame => frame?,
        };
        let wait = Wait::for_up_to(PATIENCE);
        match frame.table_as(&expects) {
            Ok(table) => tx.send_typed(&table, None, &wait)?,
            Err(slipring_frames::Error::Schema(error)) => {
                tx.send_typed(&told(&error), None, &wait)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn write(name: &str) -> Result<(), Failed> {
    let ring = Segment::open_within(name, PATIENCE)?;
    let mut tx = ring.producer()?;
    let announced = (1..=3).map(|version| ring.announce("reading", &columns(version), version));
    let announced = announced.collect::<Result<Vec<_>, _>>()?;
    let wanted = loop {
        match tx.wanted("reading")? {
            Some(versions) => break versions,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let ends = [*wanted.start(), *wanted.end()].map(|version| Value::from(i64::from(version)));
    let wait = Wait::for_up_to(PATIENCE);
    tx.send_typed(&Value::Array(ends.into()), None, &wait)?;
    for (version, announced) in (1..).zip(&announced) {
        tx.send_typed(&announced.table(&row(version)?)?, None, &wait)?;
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["read", name, version] => read(name, version.parse()?),
        ["write", name] => write(name),
        _ => Err("say: read NAME VERSION, or write NAME".into()),
    }
}
