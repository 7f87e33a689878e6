//! M4: a Rust program that embeds Python and passes values and arrays both ways, through rings that both
//! open by name in one process. Prints `ok` and ends with 0, or panics.
//!
//!     embed RING        with what Python imports on PYTHONPATH
#![allow(missing_docs, reason = "a program for tests")]

use pyo3::prelude::*;
use pyo3::types::PyDict;
use slipring::{Consumer, Producer, Segment, Wait};
use slipring_codec::Value;
use slipring_codec::extension::Extension;
use slipring_frames::{Array, Outgoing, ReadTyped, SendTyped};
use std::ffi::CString;
use std::time::Duration;

/// What Python does with each frame: it looks at it, and sends something back.
const PYTHON: &str = r#"
import dataclasses
import slipring

@slipring.register(name="embed.Point", version=3)
@dataclasses.dataclass
class Point:
    x: float
    y: float

there, back = slipring.open(name + "-there"), slipring.open(name + "-back")
rx, tx = there.consumer(), back.producer()

def answer():
    frame = rx.recv(5)
    value = frame.value
    if frame.format == "ndarray":
        assert value.shape == (2, 3) and value.dtype == "<f8" and not value.flags.writeable
        # In place, in the segment that Rust wrote into.
        assert frame.in_place and value.ctypes.data == frame.address
        tx.send({"sum": value.sum(axis=0), "same": bytes(value)}, meta={"seen": True})
    elif isinstance(value, Point):
        tx.send(Point(value.y, value.x))
    else:
        tx.send(value)
    return type(value).__name__
"#;

#[derive(Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

impl Extension for Point {
    const NAME: &'static str = "embed.Point";
    const VERSION: u64 = 3;

    fn to_fields(&self) -> Value {
        Value::Map(vec![("x".into(), self.x.into()), ("y".into(), self.y.into())])
    }

    fn from_fields(_version: u64, fields: &Value) -> Result<Self, String> {
        match (fields.get("x"), fields.get("y")) {
            (Some(&Value::Float(x)), Some(&Value::Float(y))) => Ok(Point { x, y }),
            _ => Err(format!("{fields:?}")),
        }
    }
}

/// Both ends of what goes to Python and comes back.
struct Host<'py> {
    tx: Producer,
    rx: Consumer,
    answer: Bound<'py, PyAny>,
}

impl Host<'_> {
    fn send(&mut self, what: &impl Outgoing) {
        self.tx.send_typed(what, None, &Wait::no()).expect("room");
    }

    /// Has Python answer, and answers what type it saw and what came back.
    fn answer(&mut self) -> (String, Value) {
        let seen = self.answer.call0().expect("Python answers").extract().expect("a name");
        let frame = self.rx.recv(&Wait::for_up_to(Duration::from_secs(5))).expect("an answer");
        (seen, frame.value().expect("a value that can be read"))
    }
}

fn main() {
    let name = std::env::args().nth(1).expect("the name of a ring");
    let ring = |way: &str| {
        Segment::options().capacity(16 << 20).create(&*format!("{name}-{way}")).expect("a new ring")
    };
    let (there, back) = (ring("there"), ring("back"));
    Python::attach(|py| {
        let globals = PyDict::new(py);
        globals.set_item("name", &name).expect("a dict");
        let code = CString::new(PYTHON).expect("no zeros in it");
        py.run(&code, Some(&globals), None).unwrap_or_else(|e| panic!("{e}"));
        let answer = globals.get_item("answer").expect("a dict").expect("a function");
        let (tx, rx) = (there.producer().expect("the end"), back.consumer().expect("the end"));
        let mut host = Host { tx, rx, answer };
        values(&mut host);
        arrays(&mut host);
        // Nobody ends the interpreter, so that what Python holds of the rings is given back here.
        globals.clear();
        py.run(c"import gc; gc.collect()", None, None).expect("a collection");
    });
    println!("ok");
}

/// M1, R6.4: values, types kept apart, and an object of a type that both have registered.
fn values(host: &mut Host<'_>) {
    let tuple = Value::Tag(slipring_codec::tag::TUPLE, Box::new(Value::Array(vec![1i64.into()])));
    let big = Value::Bytes(vec![7; 100_000]);
    let value = Value::Map(vec![
        ("null".into(), Value::Null),
        ("int".into(), (-5i64).into()),
        ("float".into(), 1.0.into()),
        ("text".into(), "ä".into()),
        ("bytes".into(), Value::Bytes(vec![0, 255])),
        ("list".into(), Value::Array(vec![true.into(), tuple])),
        (Value::Int(7), big),
    ]);
    host.send(&value);
    assert_eq!(host.answer(), ("dict".into(), value));
    host.send(&Value::object(&Point { x: 1.0, y: 2.5 }));
    let (seen, answer) = host.answer();
    assert_eq!(seen, "Point");
    assert_eq!(answer.to_object::<Point>(), Ok(Point { x: 2.5, y: 1.0 }));
}

/// M2: an array that Python reads in place, and one that it sends back.
fn arrays(host: &mut Host<'_>) {
    let numbers = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
    host.send(&Array::new(&numbers, &[2, 3]).expect("a small array"));
    let data: Vec<u8> = numbers.iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
    let (seen, answer) = host.answer();
    assert_eq!(seen, "ndarray");
    assert_eq!(answer.get("same"), Some(&Value::Bytes(data)));
    // A typed array of RFC 8746, of little-endian f64.
    let sums: Vec<u8> = [3.0f64, 5.0, 7.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(answer.get("sum"), Some(&Value::Tag(86, Box::new(Value::Bytes(sums)))));
}
