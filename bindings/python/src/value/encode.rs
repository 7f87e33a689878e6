//! From Python's objects to CBOR, straight through the token layer.
//!
//! 1. A container is held while its items are gone through, and so is every object for which code of
//!    others may run. Items are looked up one by one: whoever changes a container meanwhile gets an
//!    error, and nobody reads what is gone.
//! 2. What goes out of line is held as a [`Piece`] until its bytes are copied.

use super::fault::{Fault, Outcome, type_name};
use super::types::{Exact, Types, own_text};
use super::{key, registry, stack, temporal};
use crate::array::{self, Candidate};
use crate::buffer::Buffer;
use crate::error;
use crate::table::{send, take};
use crate::value::pairs;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView,
    PySet, PyString, PyTuple,
};
use slipring_codec::Encoder;
use slipring_codec::error::Segment;
use slipring_codec::format::arrow::Plan;
use slipring_codec::format::value::{self, ARRAY_OUT_OF_LINE, BYTES_OUT_OF_LINE};
use slipring_codec::tag;
use slipring_codec::token::{MAX_DEPTH, Sink};
use std::ffi::c_int;
use std::sync::Arc;

/// Bytes that go out of line.
pub(crate) enum Piece<'py> {
    Bytes(Bound<'py, PyBytes>),
    Buffer(Buffer),
    Array(Bound<'py, PyAny>, usize),
    /// One body of a table's messages: its number and its length.
    Table(Arc<Plan>, usize, usize),
}

/// A table that was planned, and the object that showed it.
pub(crate) type Planned<'py> = (Bound<'py, PyAny>, Arc<Plan>);

impl Piece<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes().len(),
            Self::Buffer(buffer) => buffer.len(),
            Self::Array(_, len) | Self::Table(.., len) => *len,
        }
    }

    /// Copies the bytes to `out`, which is as long as they are.
    pub(crate) fn copy_to(&self, py: Python<'_>, out: &mut [u8]) -> PyResult<()> {
        match self {
            Self::Bytes(bytes) => crate::producer::copy(py, bytes.as_bytes(), out),
            Self::Buffer(buffer) => buffer.copy_to(py, out),
            Self::Array(object, _) => array::copy_out(object, out),
            Self::Table(plan, number, _) => {
                let written = py.detach(|| plan.write_body(*number, out));
                written.map_err(|refused| error::encode(py, &refused, "arrow"))
            }
        }
    }
}

/// Goes through an object and writes what it is.
pub(crate) struct Writer<'py, S> {
    py: Python<'py>,
    pub(crate) encoder: Encoder<S>,
    /// Where there is a frame for them.
    pub(crate) pieces: Option<Vec<Piece<'py>>>,
    /// Types that went as what they derive from.
    pub(crate) losses: Vec<Bound<'py, PyAny>>,
    /// The tables so far. What is written once more has them made once: an object may show its table but one time.
    pub(crate) tables: Vec<Planned<'py>>,
}

impl<'py, S: Sink> Writer<'py, S> {
    pub(crate) fn new(py: Python<'py>, sink: S, out_of_line: bool) -> Self {
        let pieces = out_of_line.then(Vec::new);
        let (losses, tables) = (Vec::new(), Vec::new());
        Self { py, encoder: Encoder::into_sink(sink), pieces, losses, tables }
    }

    /// Writes one object, which `depth` others enclose.
    pub(crate) fn write(&mut self, object: Borrowed<'_, 'py, PyAny>, depth: usize) -> Outcome {
        self.item(object, depth)
    }

    /// The same, without a call for what is small and frequent.
    #[inline(always)]
    fn item(&mut self, object: Borrowed<'_, 'py, PyAny>, depth: usize) -> Outcome {
        match Exact::of(object) {
            Exact::Str => return self.text(object),
            Exact::Int => return self.int(object, depth),
            Exact::Float => {
                // SAFETY: an exact float.
                self.encoder.float(unsafe { ffi::PyFloat_AS_DOUBLE(object.as_ptr()) });
            }
            Exact::Bool => {
                // SAFETY: the call gives a borrowed reference to an object that is always there.
                self.encoder.bool(object.as_ptr() == unsafe { ffi::Py_True() });
            }
            Exact::None => {
                self.encoder.null();
            }
            kind => return self.larger(kind, object, depth),
        }
        Ok(())
    }

    /// Writes bytes, a date or a time, a Decimal or the like, for who knows that it is one.
    pub(crate) fn leaf(&mut self, object: Borrowed<'_, 'py, PyAny>) -> Outcome {
        if Exact::of(object) == Exact::Bytes {
            return self.larger(Exact::Bytes, object, 0);
        }
        let object = &object.to_owned();
        if temporal::write(object, &mut self.encoder)? {
            self.subclass_of(object, temporal::is_exact(object));
            return Ok(());
        }
        match self.numbers(object, Types::get(self.py)?)? {
            true => Ok(()),
            false => self.other(object, 0),
        }
    }

    fn larger(&mut self, kind: Exact, object: Borrowed<'_, 'py, PyAny>, depth: usize) -> Outcome {
        match kind {
            Exact::Dict => self.dict(&object.to_owned(), depth),
            Exact::List => self.list(&object.to_owned(), depth),
            Exact::Tuple => {
                self.encoder.tag(tag::TUPLE);
                self.tuple(&object.to_owned(), depth + 1)
            }
            Exact::Bytes => {
                // SAFETY: an exact bytes object.
                let bytes = unsafe { object.cast_unchecked::<PyBytes>() };
                let long = bytes.as_bytes().len() >= BYTES_OUT_OF_LINE;
                // What stands for them is a tag.
                if self.pieces.is_some() && long && depth < MAX_DEPTH {
                    self.out_of_line(Piece::Bytes(bytes.to_owned()));
                } else {
                    self.encoder.bytes(bytes.as_bytes());
                }
                Ok(())
            }
            _ => self.other(&object.to_owned(), depth),
        }
    }

    #[inline(always)]
    fn text(&mut self, object: Borrowed<'_, 'py, PyAny>) -> Outcome {
        self.encoder.text(text(&object)?);
        Ok(())
    }

    #[inline(always)]
    fn int(&mut self, object: Borrowed<'_, 'py, PyAny>, depth: usize) -> Outcome {
        if let Some(n) = small_int(object) {
            self.encoder.int(n);
            return Ok(());
        }
        let mut overflow: c_int = 0;
        // SAFETY: an int; the call writes to `overflow` and can't fail for one.
        let n = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &mut overflow) };
        if overflow == 0 {
            self.encoder.int(n);
            return Ok(());
        }
        let object = object.to_owned();
        // One that has a tag.
        self.enter(depth, &object)?;
        self.big(&object, overflow > 0)
    }

    /// An integer beyond 63 bits.
    #[cold]
    fn big(&mut self, object: &Bound<'py, PyAny>, positive: bool) -> Outcome {
        let py = self.py;
        // The negative ones count from -1 down.
        let n = if positive { object.clone() } else { object.bitnot()? };
        if let Ok(n) = n.extract::<u64>() {
            if positive {
                self.encoder.uint(n)
            } else {
                self.encoder.negative(n)
            };
            return Ok(());
        }
        let bits: usize = n.call_method0(intern!(py, "bit_length"))?.extract()?;
        let bytes =
            n.call_method1(intern!(py, "to_bytes"), (bits.div_ceil(8), intern!(py, "big")))?;
        let big = if positive { tag::POSITIVE_BIG } else { tag::NEGATIVE_BIG };
        self.encoder.tag(big).bytes(bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
        Ok(())
    }

    fn enter(&self, depth: usize, object: &Bound<'py, PyAny>) -> Outcome {
        match depth < MAX_DEPTH {
            true if !stack::is_short(depth) => Ok(()),
            true => Err(Fault::short_of_stack(type_name(object))),
            false => Err(Fault::too_deep(object)),
        }
    }

    fn dict(&mut self, dict: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        self.enter(depth, dict)?;
        with_critical_section(dict, || {
            // SAFETY: a dict, which we hold.
            let len = unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_used } as usize;
            self.encoder.map(len);
            let mut odd = Vec::new();
            let (mut at, mut count) = (0, 0);
            while count < len {
                // SAFETY: a dict, which we hold; the call looks at the position whatever became of the dict.
                let Some((key, value)) = (unsafe { pairs::next(dict.as_ptr(), &mut at) }) else {
                    break;
                };
                // SAFETY: what the call gives is alive until code of others runs. The key is held from here on, for
                // the path of a fault; whoever may run code takes a reference to the value first.
                let (key, value) = unsafe {
                    let key = Borrowed::from_ptr(self.py, key).to_owned();
                    (key, Borrowed::from_ptr(self.py, value))
                };
                if Exact::of(key.as_borrowed()) == Exact::Str {
                    self.encoder.text(
                        text(&key.as_borrowed()).map_err(|f| f.within(Segment::KeyOf(count)))?,
                    );
                    self.item(value, depth + 1).map_err(|fault| fault.under(&key))?;
                } else {
                    let value = value.to_owned();
                    let written = if key::is_plain(key.as_borrowed()) {
                        self.write(key.as_borrowed(), depth + 1)
                    } else {
                        self.odd_key(key.as_borrowed(), depth + 1)
                            .map(|bytes| odd.push((count, bytes)))
                    };
                    written.map_err(|fault| fault.within(Segment::KeyOf(count)))?;
                    self.item(value.as_borrowed(), depth + 1).map_err(|fault| fault.under(&key))?;
                }
                count += 1;
            }
            // SAFETY: as above.
            let now = unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_used } as usize;
            if count != len || now != len {
                return Err(Fault::changed(dict));
            }
            if odd.is_empty() { Ok(()) } else { key::check_distinct(dict, &odd) }
        })
    }

    /// Writes a key that another one may be written like. Answers with its bytes.
    #[cold]
    fn odd_key(
        &mut self,
        key: Borrowed<'_, 'py, PyAny>,
        depth: usize,
    ) -> Result<Vec<u8>, Box<Fault>> {
        let mut apart = Writer::new(self.py, Vec::new(), false);
        apart.write(key, depth)?;
        apart.losses.drain(..).for_each(|kind| self.lose(kind));
        let bytes = apart.encoder.sink();
        self.encoder.sink_mut().put(&bytes);
        Ok(bytes)
    }

    fn list(&mut self, list: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        self.enter(depth, list)?;
        with_critical_section(list, || {
            // SAFETY: a list, which we hold.
            let len = || unsafe { ffi::PyList_GET_SIZE(list.as_ptr()) } as usize;
            let announced = len();
            self.encoder.array(announced);
            for index in 0..announced {
                if index >= len() {
                    break;
                }
                // SAFETY: the list has that many items now; the item is alive until code of others
                // runs, before which `write` takes a reference of its own.
                let item = unsafe {
                    let item = ffi::PyList_GET_ITEM(list.as_ptr(), index as _);
                    Borrowed::from_ptr(self.py, item)
                };
                self.item(item, depth + 1).map_err(|f| f.within(Segment::Index(index)))?;
            }
            if len() == announced { Ok(()) } else { Err(Fault::changed(list)) }
        })
    }

    fn tuple(&mut self, tuple: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        self.enter(depth, tuple)?;
        // SAFETY: a tuple, which we hold and which does not change.
        let len = unsafe { ffi::PyTuple_GET_SIZE(tuple.as_ptr()) } as usize;
        self.encoder.array(len);
        for index in 0..len {
            // SAFETY: as above; the tuple holds its items.
            let item = unsafe {
                Borrowed::from_ptr(self.py, ffi::PyTuple_GET_ITEM(tuple.as_ptr(), index as _))
            };
            self.item(item, depth + 1).map_err(|f| f.within(Segment::Index(index)))?;
        }
        Ok(())
    }

    fn out_of_line(&mut self, piece: Piece<'py>) {
        if let Some(pieces) = &mut self.pieces {
            self.encoder.tag(tag::BUFFER).uint(pieces.len() as u64);
            pieces.push(piece);
        }
    }

    /// All that is not of an exact basic type.
    #[cold]
    fn other(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        // What is written here without a look at the depth takes up to four levels: tags around a number.
        self.enter(depth + 3, object)?;
        if let Some(registered) = registry::of(object)? {
            let written = self.registered(&registered, depth);
            return written.map_err(|fault| fault.of_registered(object));
        }
        match array::of_numpy(object).map_err(|error| Fault::refusal(self.py, error))? {
            Candidate::Array(array) => return self.array(object, &array),
            Candidate::Scalar => {
                let element = array::element(object)?;
                self.encoder.tag(tag::ELEMENT);
                let Candidate::Array(array) = array::look(&element)? else {
                    return Err(Fault::unsupported(object));
                };
                return self.array(&element, &array);
            }
            Candidate::Other => {}
        }
        let types = Types::get(self.py)?;
        if self.own(object, types, depth)? {
            return Ok(());
        }
        if temporal::write(object, &mut self.encoder)? {
            self.subclass_of(object, temporal::is_exact(object));
            return Ok(());
        }
        if self.numbers(object, types)? {
            return Ok(());
        }
        self.containers(object, depth)
    }

    /// What is slipring's own: atoms, tags, objects.
    fn own(
        &mut self,
        object: &Bound<'py, PyAny>,
        types: &Types,
        depth: usize,
    ) -> Result<bool, Box<Fault>> {
        let py = self.py;
        if object.is_exact_instance(types.atom.bind(py)) {
            self.encoder.tag(tag::ATOM);
            self.text(object.as_borrowed())?;
        } else if object.is_exact_instance(types.tag.bind(py)) {
            self.enter(depth, object)?;
            let number = object.getattr(intern!(py, "number"))?.extract::<u64>();
            let Some(number) = number.ok().filter(|&number| number != tag::BUFFER) else {
                let what = "a tag that is no number from 0 to 2^64 - 1, or is that of a buffer";
                let hint = "give the number of a tag of CBOR; buffers are made by slipring alone";
                return Err(Fault::refused(what.into(), "slipring.Tag".into(), hint));
            };
            self.encoder.tag(number);
            let value = object.getattr(intern!(py, "value"))?;
            self.write(value.as_borrowed(), depth + 1)?;
        } else if object.is_exact_instance(types.object.bind(py)) {
            let name = object.getattr(intern!(py, "name"))?;
            let version = object.getattr(intern!(py, "version"))?.extract::<u64>();
            let Ok(version) = version else {
                let what = "a version that is no number from 0 to 2^64 - 1".to_owned();
                return Err(Fault::refused(
                    what,
                    "slipring.Object".into(),
                    "count versions from 1",
                ));
            };
            let fields = object.getattr(intern!(py, "fields"))?;
            self.object(&name, version, &fields, depth)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn object(
        &mut self,
        name: &Bound<'py, PyAny>,
        version: u64,
        fields: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Outcome {
        self.enter(depth + 1, fields)?;
        self.encoder.tag(tag::OBJECT).array(3).text(text(&name.as_borrowed())?).uint(version);
        self.write(fields.as_borrowed(), depth + 2)
    }

    fn registered(&mut self, registered: &registry::Registered, depth: usize) -> Outcome {
        let name = registered.name.bind(self.py).clone().into_any();
        let fields = registered.fields.bind(self.py).clone();
        self.object(&name, registered.version, &fields, depth)
    }

    pub(crate) fn array(
        &mut self,
        object: &Bound<'py, PyAny>,
        array: &array::Array<'py>,
    ) -> Outcome {
        let len = array.descriptor.byte_len();
        if let Some(kind) = array::lost_type(object)? {
            self.lose(kind.into_any());
        }
        value::write_array(&mut self.encoder, &array.descriptor);
        if self.pieces.is_some() && len >= ARRAY_OUT_OF_LINE {
            self.out_of_line(Piece::Array(object.clone(), len));
        } else {
            self.encoder.bytes(&array.in_one_piece(self.py)?);
        }
        Ok(())
    }

    /// Decimals, fractions, complex numbers, UUIDs.
    fn numbers(&mut self, object: &Bound<'py, PyAny>, types: &Types) -> Result<bool, Box<Fault>> {
        let py = self.py;
        let class = types.decimal.bind(py);
        // By its type: `__class__` may say what it likes.
        if object.get_type().is_subclass(class)? {
            self.decimal(&own_text(object.as_borrowed(), class)?.to_string())?;
            self.subclass_of(object, object.is_exact_instance(class));
        } else if object.is_exact_instance(types.uuid.bind(py)) {
            let bytes = object.getattr(intern!(py, "bytes"))?;
            self.encoder
                .tag(tag::UUID)
                .bytes(bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
        } else if object.is_exact_instance(types.fraction.bind(py)) {
            self.encoder.tag(tag::RATIONAL).array(2);
            for part in [intern!(py, "numerator"), intern!(py, "denominator")] {
                self.int(object.getattr(part)?.as_borrowed(), 0)?;
            }
        } else if let Ok(complex) = object.cast::<PyComplex>() {
            use pyo3::types::PyComplexMethods;
            self.encoder.tag(tag::COMPLEX).array(2).float(complex.real()).float(complex.imag());
            self.subclass_of(object, object.is_exact_instance_of::<PyComplex>());
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// A decimal, from its text: sign, digits with a point among them, exponent.
    fn decimal(&mut self, text: &str) -> Outcome {
        let unsigned = text.trim_start_matches('-');
        let negative = unsigned.len() < text.len();
        let (number, exponent) = unsigned.split_once(['E', 'e']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        let exponent: Option<i64> = exponent.parse().ok();
        let exponent = exponent.and_then(|n| n.checked_sub(fraction.len() as i64));
        let zero = digits.bytes().all(|digit| digit == b'0');
        // More are text: making an int of them takes the square of their number.
        let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.len() <= 4000;
        let (Some(exponent), true, false) = (exponent, plain, negative && zero) else {
            // A context may have it a small letter, which is in none of the names.
            self.encoder.tag(tag::DECIMAL_TEXT).text(&text.replace('e', "E"));
            return Ok(());
        };
        self.encoder.tag(tag::DECIMAL).array(2).int(exponent);
        match digits.parse::<i64>() {
            Ok(n) => {
                self.encoder.int(if negative { -n } else { n });
                Ok(())
            }
            Err(_) => {
                // By way of a decimal: how many digits a text may have that becomes an int is for others to say.
                let sign = if negative { "-" } else { "" };
                let whole = Types::get(self.py)?.decimal.bind(self.py);
                let whole = whole.call1((format!("{sign}{digits}"),))?;
                let n = self.py.get_type::<PyInt>().call1((whole,))?;
                self.int(n.as_borrowed(), 0)
            }
        }
    }

    /// Sets, ranges, buffers, and what derives from the basic types.
    fn containers(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        let py = self.py;
        if let Ok(set) = object.cast::<PySet>() {
            self.encoder.tag(tag::SET);
            self.list(PyList::new(py, set.iter())?.as_any(), depth + 1)?;
            self.subclass_of(object, object.is_exact_instance_of::<PySet>());
            return Ok(());
        }
        if let Ok(set) = object.cast::<PyFrozenSet>() {
            self.encoder.tag(tag::FROZEN_SET).tag(tag::SET);
            self.list(PyList::new(py, set.iter())?.as_any(), depth + 2)?;
            self.subclass_of(object, object.is_exact_instance_of::<PyFrozenSet>());
            return Ok(());
        }
        if object.is_exact_instance_of::<pyo3::types::PyRange>() {
            self.encoder.tag(tag::RANGE).array(3);
            for part in [intern!(py, "start"), intern!(py, "stop"), intern!(py, "step")] {
                self.int(object.getattr(part)?.as_borrowed(), 0)?;
            }
            return Ok(());
        }
        if object.is_instance_of::<PyByteArray>() || object.is_instance_of::<PyMemoryView>() {
            return self.buffer(object);
        }
        if take::shows(object)? {
            return self.table(object);
        }
        // What has fields is sent with them, not as what it derives from.
        if let Some((name, fields)) = registry::known(object)? {
            return self.object(&name, 1, &fields, depth);
        }
        if object.is_instance_of::<PyDict>() {
            // Its own methods may give other items than the dict below has.
            self.dict(PyDict::from_sequence(&object.call_method0("items")?)?.as_any(), depth)?;
        } else if object.is_instance_of::<PyList>() {
            self.list(
                object
                    .try_iter()?
                    .collect::<PyResult<Vec<_>>>()
                    .and_then(|items| PyList::new(py, items))?
                    .as_any(),
                depth,
            )?;
        } else if let Ok(tuple) = object.cast::<PyTuple>() {
            self.encoder.tag(tag::TUPLE);
            self.tuple(tuple.as_any(), depth + 1)?;
        } else if object.is_instance_of::<PyString>() {
            self.text(object.as_borrowed())?;
        } else if object.is_instance_of::<PyInt>() {
            self.int(object.as_borrowed(), depth)?;
        } else if let Ok(float) = object.cast::<PyFloat>() {
            self.encoder.float(float.value());
        } else if object.is_instance_of::<PyBytes>() {
            self.buffer(object)?;
        } else {
            return self.buffer_or_refusal(object);
        }
        self.subclass_of(object, false);
        Ok(())
    }

    /// What shows itself as a table, or as a column of one.
    fn table(&mut self, object: &Bound<'py, PyAny>) -> Outcome {
        let py = self.py;
        let plan = match self.tables.iter().find(|(known, _)| known.is(object)) {
            Some((_, plan)) => Arc::clone(plan),
            None => {
                let planned = take::whole(object).and_then(|table| send::planned(py, &table, None));
                let plan = Arc::new(planned.map_err(|error| Fault::refusal(py, error))?);
                self.tables.push((object.clone(), Arc::clone(&plan)));
                plan
            }
        };
        self.planned_table(&plan)
    }

    /// A table that was planned with its schema in it.
    pub(crate) fn planned_table(&mut self, plan: &Arc<Plan>) -> Outcome {
        value::write_table(&mut self.encoder, plan.head(), plan.bodies().len());
        for (number, len) in plan.bodies().enumerate() {
            let piece = Piece::Table(Arc::clone(plan), number, len);
            if self.pieces.is_some() {
                self.out_of_line(piece);
                continue;
            }
            let mut body = vec![0; len];
            piece.copy_to(self.py, &mut body)?;
            self.encoder.bytes(&body);
        }
        Ok(())
    }

    fn buffer_or_refusal(&mut self, object: &Bound<'py, PyAny>) -> Outcome {
        let shown = array::shown(object).map_err(|error| Fault::refusal(self.py, error))?;
        if let Candidate::Array(array) = shown {
            return self.array(object, &array);
        }
        // SAFETY: the object is alive.
        match unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } {
            0 => Err(Fault::unsupported(object)),
            _ => self.buffer(object),
        }
    }

    fn buffer(&mut self, object: &Bound<'py, PyAny>) -> Outcome {
        let Some(buffer) = Buffer::of(object)? else { return Err(Fault::unsupported(object)) };
        if buffer.is_typed() {
            let shown = array::shown(object).map_err(|error| Fault::refusal(self.py, error))?;
            if let Candidate::Array(array) = shown {
                return self.array(object, &array);
            }
        }
        if self.pieces.is_some() && buffer.len() >= BYTES_OUT_OF_LINE {
            self.out_of_line(Piece::Buffer(buffer));
            return Ok(());
        }
        self.encoder.bytes(&buffer.in_one_piece(self.py)?);
        Ok(())
    }

    /// Notes an object that goes as what its type derives from.
    fn subclass_of(&mut self, object: &Bound<'py, PyAny>, exact: bool) {
        if !exact {
            self.lose(object.get_type().into_any());
        }
    }

    fn lose(&mut self, kind: Bound<'py, PyAny>) {
        if !self.losses.iter().any(|known| known.is(&kind)) {
            self.losses.push(kind);
        }
    }
}

/// The value of an int of at most two digits of 30 bits, where this version of CPython is known to
/// keep them so.
#[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
#[inline(always)]
pub(crate) fn small_int(object: Borrowed<'_, '_, PyAny>) -> Option<i64> {
    /// As in CPython's longintrepr.h, up to 3.11: the sign of the size is the sign of the number.
    #[repr(C)]
    struct Digits {
        head: ffi::PyVarObject,
        digits: [u32; 2],
    }
    // SAFETY: an int, which has as many digits as the size says; the second is read only where there is one.
    unsafe {
        let int = object.as_ptr().cast::<Digits>();
        let digit =
            |index: usize| i64::from((&raw const (*int).digits).cast::<u32>().add(index).read());
        let size = (*int).head.ob_size;
        let n = match size.unsigned_abs() {
            0 => 0,
            1 => digit(0),
            2 => digit(1) << 30 | digit(0),
            _ => return None,
        };
        // Without a branch for the sign, which may be either.
        let sign = (size >> (isize::BITS - 1)) as i64;
        Some((n ^ sign) - sign)
    }
}

/// That digits have 30 bits, as they have in every build for 64 bits unless it was told otherwise.
pub(crate) fn check_ints(py: Python<'_>) -> PyResult<()> {
    let info = py.import("sys")?.getattr("int_info")?;
    match info.getattr("bits_per_digit")?.extract()? {
        30 => Ok(()),
        bits => {
            let what = format!("this Python was built with ints of {bits} bits a digit, not 30");
            Err(pyo3::exceptions::PyImportError::new_err(what))
        }
    }
}

/// Later versions keep them otherwise; the call is nearly as fast.
#[cfg(not(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64")))]
#[inline(always)]
pub(crate) fn small_int(_object: Borrowed<'_, '_, PyAny>) -> Option<i64> {
    None
}

/// The characters of a str that is compact and ASCII; they stand behind its fixed fields.
#[inline(always)]
pub(crate) fn compact_ascii<'a>(object: &'a Borrowed<'_, '_, PyAny>) -> Option<&'a [u8]> {
    // SAFETY: a str, by the check; the length is that of its characters.
    unsafe {
        let ascii = object.as_ptr().cast::<ffi::PyASCIIObject>();
        let is_one = ffi::PyUnicode_CheckExact(object.as_ptr()) != 0
            && ffi::PyUnicode_IS_COMPACT_ASCII(object.as_ptr()) != 0;
        is_one.then(|| std::slice::from_raw_parts(ascii.add(1).cast(), (*ascii).length as usize))
    }
}

/// The UTF-8 of a str, which the object keeps.
#[inline(always)]
pub(crate) fn text<'a>(object: &'a Borrowed<'_, '_, PyAny>) -> Result<&'a str, Box<Fault>> {
    if let Some(bytes) = compact_ascii(object) {
        // SAFETY: ASCII.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    // A fault runs code of others, which may let go of the object.
    let _held = (*object).to_owned();
    let mut len = 0;
    // SAFETY: the object is alive; the call checks that it is a str.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(object.as_ptr(), &mut len) };
    if data.is_null() {
        return Err(Fault::not_unicode(object));
    }
    // SAFETY: the str keeps that many bytes of UTF-8 for as long as it lives.
    Ok(unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), len as _)) })
}
