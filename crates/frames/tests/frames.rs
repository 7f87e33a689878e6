//! Values, JSON, arrays and bytes through a ring.

use slipring::{Consumer, Header, Producer, Segment, Wait};
use slipring_codec::format::ndarray::{Descriptor, Dtype, Order};
use slipring_codec::{Content, Format, Value};
use slipring_frames::{Array, ArrayGrant, Error, Json, Outgoing, ReadTyped, SendTyped};

fn ends() -> (Producer, Consumer) {
    let ring = Segment::options().capacity(4 << 20).create_anonymous().expect("a ring");
    (ring.producer().expect("its one end"), ring.consumer().expect("its other end"))
}

fn meta() -> Value {
    Value::Map(vec![("site".into(), Value::from(4i64))])
}

/// Sent with metadata and without, and received.
fn each(what: &(impl Outgoing + ?Sized), format: Format, check: impl Fn(&slipring::Frame)) {
    let (mut tx, mut rx) = ends();
    for meta in [None, Some(meta())] {
        tx.send_typed(what, meta.as_ref(), &Wait::no()).expect("room");
        let frame = rx.recv(&Wait::no()).expect("a frame");
        assert_eq!(frame.body().expect("a body").format(), format);
        assert_eq!(frame.meta().expect("metadata"), meta);
        check(&frame);
    }
}

/// M1, R4.1, R14.1, R14.2: what is sent comes back, arrays and large bytes where they lie.
#[test]
fn everything_comes_back() {
    each(&b"bytes"[..], Format::Raw, |frame| {
        let body = frame.body().unwrap();
        let Content::Raw(part) = body.content().unwrap() else { panic!("bytes") };
        assert_eq!(part.bytes, b"bytes");
    });
    let value = Value::Map(vec![
        ("id".into(), Value::from(7i64)),
        ("blob".into(), Value::Bytes(vec![3; 100_000])),
    ]);
    each(&value, Format::Value, |frame| {
        assert_eq!(frame.value().unwrap(), value);
        let body = frame.body().unwrap();
        let Content::Value(headed) = body.content().unwrap() else { panic!("a value") };
        let outline = headed.outline().unwrap();
        let blob = headed.bytes(outline.get("blob").unwrap()).unwrap().unwrap();
        let within = frame.as_ptr_range();
        assert!(blob == vec![3; 100_000] && within.contains(&blob.as_ptr()), "a view");
    });
    let text = Value::Array(vec![Value::Null, "ä\n".into(), Value::Float(0.5)]);
    each(&Json(&text), Format::Json, |frame| assert_eq!(frame.value().unwrap(), text));
    each(&Array::new(&[1i16, 2, 3, 4, 5, 6], &[2, 3]).unwrap(), Format::Ndarray, |frame| {
        let array = frame.array::<i16>().unwrap();
        assert_eq!((array.shape(), array.elements()), (&[2, 3][..], &[1, 2, 3, 4, 5, 6][..]));
        assert!(frame.as_ptr_range().contains(&array.elements().as_ptr().cast()));
    });
    each(&Array::<f64>::new(&[], &[0, 3]).unwrap(), Format::Ndarray, |frame| {
        assert!(frame.array::<f64>().unwrap().elements().is_empty());
    });
}

/// R14.1: written in the segment itself, committed later, and in any order.
#[test]
fn a_reserved_array_is_filled_in_place() {
    let (mut tx, mut rx) = ends();
    let mut first = ArrayGrant::<f32>::reserve(&mut tx, &[2, 2], None, &Wait::no()).unwrap();
    let mut second = ArrayGrant::<f32>::reserve(&mut tx, &[3], Some(&meta()), &Wait::no()).unwrap();
    second.copy_from_slice(&[5.0, 6.0, 7.0]);
    first.fill(1.5);
    second.commit(&mut tx, &Wait::no()).map_err(|rejected| rejected.error).unwrap();
    first.commit(&mut tx, &Wait::no()).map_err(|rejected| rejected.error).unwrap();
    let frame = rx.recv(&Wait::no()).unwrap();
    assert_eq!(frame.array::<f32>().unwrap().elements(), [5.0, 6.0, 7.0]);
    assert_eq!(frame.meta().unwrap(), Some(meta()));
    let frame = rx.recv(&Wait::no()).unwrap();
    assert_eq!(frame.array::<f32>().unwrap().shape(), [2, 2]);
    assert_eq!(frame.array::<f32>().unwrap().elements(), [1.5; 4]);
    drop(ArrayGrant::<f32>::reserve(&mut tx, &[9], None, &Wait::no()).unwrap());
    assert!(matches!(rx.recv(&Wait::no()), Err(slipring::Error::Empty)));
}

/// R6.1, P9: what is asked for as something else, or is of another version, is an error that says what it is.
#[test]
fn what_it_is_not_is_refused() {
    let (mut tx, mut rx) = ends();
    tx.send_typed(&Array::new(&[1u8, 2], &[2]).unwrap(), None, &Wait::no()).unwrap();
    let frame = rx.recv(&Wait::no()).unwrap();
    let error = frame.value().unwrap_err();
    assert!(matches!(error, Error::OtherFormat { found: Format::Ndarray, .. }), "{error}");
    let error = frame.array::<i8>().unwrap_err();
    assert!(error.to_string().contains("dtype |u1, not |i1"), "{error}");
    tx.send_typed(&Value::Null, None, &Wait::no()).unwrap();
    let error = rx.recv(&Wait::no()).unwrap().array::<i8>().unwrap_err();
    assert!(error.to_string().contains("of format value, not ndarray"), "{error}");

    // Another order of bytes is another dtype.
    let foreign = Descriptor::new(">i4".parse::<Dtype>().unwrap(), Order::C, &[1]).unwrap();
    let plan = slipring_codec::format::ndarray::plan(&foreign, None).unwrap();
    let mut body = vec![0; plan.body_len()];
    plan.write(&mut body).unwrap();
    let header = slipring_frames::header(plan.format(), plan.flags(), plan.type_code());
    tx.send(header, &body, &Wait::no()).unwrap();
    let frame = rx.recv(&Wait::no()).unwrap();
    assert!(matches!(frame.array::<i32>(), Err(Error::OtherDtype { .. })));

    tx.send(Header { format_version: 9, ..header }, &body, &Wait::no()).unwrap();
    let error = rx.recv(&Wait::no()).unwrap().array::<i32>().unwrap_err();
    assert!(matches!(error, Error::Version { found: 9, .. }), "{error}");
    tx.send(Header { flags: 0, ..header }, &body, &Wait::no()).unwrap();
    let error = rx.recv(&Wait::no()).unwrap().array::<i32>().unwrap_err();
    assert!(matches!(error, Error::Decode(_)), "{error}");
    tx.send(Header { format: 77, ..header }, &body, &Wait::no()).unwrap();
    assert!(matches!(rx.recv(&Wait::no()).unwrap().meta(), Err(Error::Decode(_))));
}

/// R6.2: nothing is sent of what can't be; the ring's own word is passed on.
#[test]
fn what_has_no_form_is_not_sent() {
    let (mut tx, mut rx) = ends();
    let error = Array::new(&[1u8, 2], &[3]).unwrap_err();
    assert!(matches!(error, Error::Shape { expected: 3, found: 2, .. }), "{error}");
    let keys = Value::Map(vec![(Value::Null, Value::Null)]);
    let error = tx.send_typed(&Json(&keys), None, &Wait::no()).unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error}");
    let array = Array::new(&[1u8, 2], &[2]).unwrap();
    let value = Value::from(1i64);
    for meta in [Value::Null, keys] {
        let outcomes = [
            tx.send_typed(&b"x"[..], Some(&meta), &Wait::no()),
            tx.send_typed(&value, Some(&meta), &Wait::no()),
            tx.send_typed(&Json(&value), Some(&meta), &Wait::no()),
            tx.send_typed(&array, Some(&meta), &Wait::no()),
        ];
        outcomes.iter().for_each(|sent| assert!(matches!(sent, Err(Error::Encode(_)))));
    }
    let error = tx.send_typed(&vec![0u8; 8 << 20][..], None, &Wait::no()).unwrap_err();
    assert!(matches!(error, Error::Ring(slipring::Error::TooLarge { .. })), "{error}");
    assert!(matches!(rx.recv(&Wait::no()), Err(slipring::Error::Empty)));
}
