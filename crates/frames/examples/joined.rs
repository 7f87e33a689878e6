//! Values, arrays and a table from one end of a ring to the other, and where each lies:
//! `cargo run -p slipring-frames --example joined`

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Float64Array, RecordBatch, StringArray};
use slipring::{Segment, Wait};
use slipring_codec::format::ndarray::{Descriptor, Dtype, Order};
use slipring_codec::{Content, Value};
use slipring_frames::{Array, ArrayGrant, ReadTable, ReadTyped, SendTyped};
use std::ops::Range;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("joined-{}", std::process::id());
    let ring = Segment::options().capacity(16 << 20).create(&*name)?;
    send(&ring)?;
    let other = Segment::open(&*name)?; // in another process just so, and in Python or Elixir
    slipring::unlink(&*name)?;
    receive(&other)?;
    Ok(())
}

fn send(ring: &Segment) -> Result<(), Box<dyn std::error::Error>> {
    let mut tx = ring.producer()?;
    let site = Value::Map(vec![("site".into(), Value::from(4i64))]);

    // Any value, an array in it.
    let pixels = Descriptor::new(Dtype::U8, Order::C, &[64, 64])?;
    let value = Value::Map(vec![
        ("id".into(), Value::from(7i64)),
        ("pixels".into(), Value::ndarray(&pixels, vec![9; 64 * 64])),
    ]);
    tx.send_typed(&value, Some(&site), &Wait::no())?;

    // An array that is there, and one that is made in the segment itself.
    let wave: Vec<f64> = (0..1000).map(|n| f64::from(n).sin()).collect();
    tx.send_typed(&Array::new(&wave, &[10, 100])?, None, &Wait::no())?;
    let mut image = ArrayGrant::<u16>::reserve(&mut tx, &[480, 640], None, &Wait::no())?;
    image.iter_mut().enumerate().for_each(|(n, pixel)| *pixel = n as u16);
    image.commit(&mut tx, &Wait::no()).map_err(|rejected| rejected.error)?;

    // A table: one copy of each column, from where it is into its place.
    let rows = 100_000;
    let city = StringArray::from_iter_values((0..rows).map(|row| format!("city {row}")));
    let temp = Float64Array::from_iter_values((0..rows).map(|row| f64::from(row % 40)));
    let table =
        RecordBatch::try_from_iter([("city", Arc::new(city) as _), ("temp", Arc::new(temp) as _)])?;
    tx.send_typed(&table, None, &Wait::no())?;
    Ok(())
}

/// Says where something lies.
fn show(what: &str, body: &Range<*const u8>, at: *const u8) {
    let place = match body.contains(&at) {
        true => format!("in place, {} bytes into its frame", at as usize - body.start as usize),
        false => "copied".to_owned(),
    };
    println!("{what:<28} {at:?}  {place}");
}

fn receive(ring: &Segment) -> Result<(), Box<dyn std::error::Error>> {
    let mut rx = ring.consumer()?;

    let frame = rx.recv(&Wait::no())?;
    println!("{:?}, {:?}", frame.body()?.format(), frame.meta()?);
    if let Content::Value(headed) = frame.body()?.content()? {
        let outline = headed.outline()?;
        let pixels = outline.get("pixels").ok_or("no pixels")?;
        let pixels = headed.array(pixels)?.ok_or("no array")?;
        show("array in a value", &frame.as_ptr_range(), pixels.data.bytes.as_ptr());
    }
    drop(frame); // and its memory is free

    let frame = rx.recv(&Wait::no())?;
    let wave = frame.array::<f64>()?;
    show("array", &frame.as_ptr_range(), wave.elements().as_ptr().cast());
    drop(frame);
    let frame = rx.recv(&Wait::no())?;
    let image = frame.array::<u16>()?;
    show("array made in the segment", &frame.as_ptr_range(), image.elements().as_ptr().cast());
    drop(frame);

    let frame = rx.recv(&Wait::no())?;
    let body = frame.as_ptr_range();
    let batch = frame.table()?.batches.remove(0);
    let city = batch.column(0).as_string::<i32>();
    show("column of texts", &body, city.value_data().as_ptr());
    let temp = batch.column(1).as_primitive::<Float64Type>();
    show("column of numbers", &body, temp.values().as_ptr().cast());

    // The frame is gone. A piece of a column keeps its block; the rest of the table and the consumer may go.
    let temp = temp.slice(10, 5);
    drop((batch, rx));
    println!("{:?}; frames held: {}", temp.values(), ring.inspect().frames.held);
    drop(temp);
    println!("after the last piece: {}", ring.inspect().frames.held);
    Ok(())
}
