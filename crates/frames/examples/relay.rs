//! Passes on what comes, by way of Rust's own types: each frame is decoded, encoded anew and sent, with its metadata. What can't be
//! read goes on as no bytes, with the metadata `about` saying why. Ends when the first ring is closed, and closes the second:
//! `relay FROM TO`

use slipring::{Error as Ring, Frame, Producer, Segment, Wait};
use slipring_codec::format::ndarray::{self, Order, View};
use slipring_codec::frame::Headed;
use slipring_codec::{Content, Value};
use slipring_frames::{Array, Error, Json, ReadTable, ReadTyped, SendTyped, Table, header};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else { return Err("say: FROM TO".into()) };
    let mut rx = Segment::open_within(from.as_str(), PATIENCE)?.consumer()?;
    let mut tx = Segment::open_within(to.as_str(), PATIENCE)?.producer()?;
    loop {
        let frame = match rx.recv(&Wait::forever()) {
            Err(Ring::Closed) => break,
            frame => Arc::new(frame?),
        };
        let meta = frame.meta()?;
        match pass_on(&frame, meta.as_ref(), &mut tx) {
            Ok(()) => {}
            Err(Error::Ring(error)) => return Err(error.into()),
            Err(error) => tx.send_typed(b"", Some(&told(&error, meta)), &wait())?,
        }
    }
    tx.segment().close();
    Ok(())
}

fn wait() -> Wait<'static> {
    Wait::for_up_to(PATIENCE)
}

fn pass_on(frame: &Arc<Frame>, meta: Option<&Value>, tx: &mut Producer) -> Result<(), Error> {
    match frame.body()?.content()? {
        Content::Raw(bytes) => tx.send_typed(bytes.bytes, meta, &wait()),
        Content::Json(_) => tx.send_typed(&Json(&frame.value()?), meta, &wait()),
        Content::Arrow(_) => tx.send_typed(&Arc::clone(frame).table()?, meta, &wait()),
        Content::Ndarray(view) => pass_array_on(frame, &view, meta, tx),
        Content::Value(headed) => {
            let (tree, outline) = (frame.value()?, headed.outline()?);
            let mut tables = 0;
            let anew = anew(frame, &headed, &outline, &mut tables)?;
            // The tree with copies says the same; a table may lie otherwise when it is written again.
            assert!(tables > 0 || anew.to_vec()? == tree.to_vec()?, "{anew:?} is not {tree:?}");
            tx.send_typed(&anew, meta, &wait())
        }
        // A pickle, which this refuses.
        _ => frame.value().map(drop),
    }
}

/// Numbers of Rust's in C order by their type, all others as the codec knows them.
fn pass_array_on(
    frame: &Frame,
    view: &View<'_>,
    meta: Option<&Value>,
    tx: &mut Producer,
) -> Result<(), Error> {
    macro_rules! of_one_type {
        ($($number:ty)*) => {$(
            if let (Ok(array), Order::C) = (frame.array::<$number>(), view.descriptor.order()) {
                let array = Array::new(array.elements(), array.shape())?;
                return tx.send_typed(&array, meta, &wait());
            }
        )*};
    }
    of_one_type!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
    let meta = meta.map(Value::to_meta).transpose()?;
    let plan = ndarray::plan(&view.descriptor, meta.as_deref())?;
    let header = header(plan.format(), plan.flags(), plan.type_code());
    let fill = |body: &mut [u8]| {
        plan.write(body).expect("a body of the planned length").copy_from_slice(view.data.bytes);
    };
    Ok(tx.send_with(header, plan.body_len(), fill, &wait())?)
}

/// An item of an outline, with what lies out of line in its place; tables and arrays are taken apart and put together.
fn anew(
    frame: &Arc<Frame>,
    headed: &Headed<'_>,
    item: &Value,
    tables: &mut usize,
) -> Result<Value, Error> {
    if let Some(table) = Table::within(frame, item)? {
        *tables += 1;
        return table.to_value();
    }
    if let Some(View { descriptor, data }) = headed.array(item)? {
        return Ok(Value::ndarray(&descriptor, data.bytes.to_vec()));
    }
    if let Some(bytes) = headed.bytes(item)? {
        return Ok(bytes.into());
    }
    let mut anew = |item| anew(frame, headed, item, tables);
    Ok(match item {
        Value::Array(items) => Value::Array(items.iter().map(anew).collect::<Result<_, _>>()?),
        Value::Map(pairs) => {
            let pair = |(key, value)| Ok((anew(key)?, anew(value)?));
            Value::Map(pairs.iter().map(|(k, v)| (k, v)).map(pair).collect::<Result<_, Error>>()?)
        }
        Value::Tag(tag, inner) => Value::Tag(*tag, Box::new(anew(inner)?)),
        plain => plain.clone(),
    })
}

/// Metadata in place of what can't be read.
fn told(error: &Error, meta: Option<Value>) -> Value {
    let about = match error {
        Error::Decode(error) => vec![
            ("reason".into(), "decode".into()),
            ("path".into(), Value::Text(error.path().to_string())),
            ("hint".into(), error.hint().into()),
        ],
        _ => vec![],
    };
    let message = ("message".into(), Value::Text(error.to_string()));
    let about = Value::Map([about, vec![message]].concat());
    Value::Map(vec![("meta".into(), meta.unwrap_or(Value::Null)), ("about".into(), about)])
}
