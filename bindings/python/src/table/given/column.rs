//! A column that is filled with elements one by one, each as the type says that was announced.

use super::packed::{Dictionary, Runs};
use super::union::Union;
use super::{Columns, Misplaced, Why, element, is_na, odd, plain};
use crate::table::{columns, records};
use arrow_array::{Array, BinaryViewArray, LargeBinaryArray, LargeStringArray, StringViewArray};
use arrow_buffer::{ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, FieldRef};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use slipring_codec::evolution::{Constant, default_of};
use slipring_codec::infer::Scalar;
use std::collections::HashSet;

const SMALL: usize = i32::MAX as usize;
const LARGE: usize = i64::MAX as usize;

pub(super) struct Column<'py> {
    pub(super) field: FieldRef,
    pub(super) name: Bound<'py, PyString>,
    default: Option<Constant>,
    pub(super) len: usize,
    /// Made with the first null.
    validity: Option<BooleanBufferBuilder>,
    values: Values<'py>,
}

pub(super) enum Values<'py> {
    Null,
    Bool(BooleanBufferBuilder),
    /// Elements of so many bytes.
    Fixed(Vec<u8>, usize),
    /// Where each ends, the bytes, and the most of them.
    Bytes(Vec<i64>, Vec<u8>, usize),
    List(Vec<i64>, Box<Column<'py>>, usize),
    /// Lists of so many items each.
    Alike(Box<Column<'py>>, usize),
    /// Where each ends, keys and values.
    Map(Vec<i64>, Box<[Column<'py>; 2]>),
    Struct(Columns<'py>),
    Dictionary(Box<Dictionary<'py>>),
    Runs(Box<Runs<'py>>),
    Union(Box<Union<'py>>),
}

impl<'py> Column<'py> {
    pub(super) fn of(py: Python<'py>, field: &FieldRef) -> Self {
        use DataType::*;
        let boxed = |field: &FieldRef| Box::new(Column::of(py, field));
        let is_nullable = field.is_nullable();
        let values = match field.data_type() {
            Null => Values::Null,
            Boolean => Values::Bool(BooleanBufferBuilder::new(1024)),
            Utf8 | Binary | Utf8View | BinaryView => Values::Bytes(vec![0], Vec::new(), SMALL),
            LargeUtf8 | LargeBinary => Values::Bytes(vec![0], Vec::new(), LARGE),
            List(item) | ListView(item) => Values::List(vec![0], boxed(item), SMALL),
            LargeList(item) | LargeListView(item) => Values::List(vec![0], boxed(item), LARGE),
            FixedSizeList(item, size) => Values::Alike(boxed(item), (*size).max(0) as usize),
            Map(entries, _) => match entries.data_type() {
                Struct(fields) if fields.len() == 2 => {
                    let entry = [0, 1].map(|number| Column::of(py, &fields[number]));
                    Values::Map(vec![0], Box::new(entry))
                }
                _ => unreachable!("the entries of a map that was announced are keys and values"),
            },
            Struct(fields) => Values::Struct(Columns::of(py, fields)),
            Dictionary(key, values) => {
                Values::Dictionary(Box::new(self::Dictionary::of(py, key, values, is_nullable)))
            }
            RunEndEncoded(ends, values) => {
                Values::Runs(Box::new(Runs::of(py, ends, values, is_nullable)))
            }
            Union(members, mode) => {
                Values::Union(Box::new(self::Union::of(py, members, *mode, is_nullable)))
            }
            FixedSizeBinary(width) => Values::Fixed(Vec::new(), (*width).max(0) as usize),
            other => Values::Fixed(Vec::new(), other.primitive_width().unwrap_or(0)),
        };
        let (name, default) = (PyString::new(py, field.name()), default_of(field));
        Self { field: FieldRef::clone(field), name, default, len: 0, validity: None, values }
    }

    fn refused(&self, value: &Bound<'_, PyAny>, why: Why) -> Misplaced {
        odd(value, &self.field.data_type().to_string(), why)
    }

    /// Pushes what is frequent, if it fits.
    #[inline]
    pub(super) fn push_quick(&mut self, scalar: Scalar<'_>) -> Option<()> {
        element::put(&mut self.values, self.field.data_type(), scalar).ok()?;
        self.count();
        Some(())
    }

    pub(super) fn push(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Misplaced> {
        let is_element =
            matches!(self.values, Values::Bool(_) | Values::Fixed(..) | Values::Bytes(..));
        if value.is_none() || !is_element && is_na(value) {
            let pushed = if self.may_be_null() { self.nothing() } else { Err(Why::Null) };
            return pushed.map_err(|why| self.refused(value, why));
        }
        match &mut self.values {
            Values::Null => return Err(self.refused(value, Why::Type)),
            Values::Struct(columns) => columns.push(value)?,
            Values::List(ends, items, most) => {
                let list = sequence(value).ok_or(Why::Type);
                let pushed = match list {
                    Ok(list) => match items.push_all(&list)? {
                        Some(len) if len > *most => Err(Why::Large),
                        len => len.ok_or(Why::Type),
                    },
                    Err(why) => Err(why),
                };
                match pushed {
                    Ok(len) => ends.push(len as i64),
                    Err(why) => return Err(self.refused(value, why)),
                }
            }
            Values::Alike(items, size) => {
                let Some(list) = sequence(value) else {
                    return Err(self.refused(value, Why::Type));
                };
                if list.len().ok() != Some(*size) {
                    return Err(self.refused(value, Why::Range));
                }
                // One that changes its length meanwhile is none of that length.
                if items.push_all(&list)? != Some((self.len + 1) * *size) {
                    return Err(self.refused(value, Why::Range));
                }
            }
            Values::Map(ends, entries) => match push_entries(entries, value)? {
                Ok(len) => ends.push(len as i64),
                Err(why) => return Err(self.refused(value, why)),
            },
            Values::Dictionary(dictionary) => {
                // What is null is so here, and not among the values.
                match dictionary.push(value)? {
                    Ok(true) => {}
                    Ok(false) => return self.push(&value.py().None().into_bound(value.py())),
                    Err(why) => return Err(self.refused(value, why)),
                }
            }
            Values::Runs(runs) => {
                runs.values.push(value)?;
                if let Err(why) = runs.join() {
                    return Err(self.refused(value, why));
                }
            }
            Values::Union(union) => {
                if let Err(why) = union.push(value)? {
                    return Err(self.refused(value, why));
                }
            }
            Values::Bool(_) | Values::Fixed(..) | Values::Bytes(..) => {
                let (wants, values) = (self.field.data_type(), &mut self.values);
                let mut put = |value: &Bound<'py, PyAny>| {
                    records::exactly(value, |scalar| element::put(values, wants, scalar))
                };
                let (mut pushed, mut instead) = (put(value), None);
                if pushed.is_none() {
                    // A moment of a named zone, a subclass, an element of an array, bytes that may be written to.
                    instead = plain(value);
                    pushed = instead.as_ref().and_then(put);
                }
                // NaT, of NumPy's or of pandas', or NA.
                if let Some(none) = instead.as_ref().filter(|plain| plain.is_none()) {
                    return self.push(none);
                }
                if matches!(pushed, None | Some(Err(Why::Type)))
                    && let Values::Fixed(bytes, _) = &mut self.values
                {
                    let mut either = [Some(value), instead.as_ref()].into_iter().flatten();
                    pushed = either.find_map(|value| element::rare(bytes, wants, value));
                }
                if let Err(mut why) = pushed.unwrap_or(Err(Why::Type)) {
                    if matches!(why, Why::Type) && element::is_beyond(value, wants) {
                        why = Why::Range;
                    }
                    return Err(self.refused(value, why));
                }
            }
        }
        self.count();
        Ok(())
    }

    /// Pushes what stands in a sequence; answers how many elements there are then, or `None` if it could not be gone through.
    pub(super) fn push_all(
        &mut self,
        list: &Bound<'py, PyAny>,
    ) -> Result<Option<usize>, Misplaced> {
        let Ok(each) = list.try_iter() else { return Ok(None) };
        for (number, item) in each.enumerate() {
            let Ok(item) = item else { return Ok(None) };
            self.push(&item).map_err(|misplaced| misplaced.at(number))?;
        }
        Ok(Some(self.len))
    }

    fn count(&mut self) {
        self.len += 1;
        if let Some(validity) = &mut self.validity {
            validity.append(true);
        }
    }

    pub(super) fn may_be_null(&self) -> bool {
        self.field.is_nullable()
            && match &self.values {
                Values::Runs(runs) => runs.values.may_be_null(),
                Values::Union(union) => union.may_be_null(),
                _ => true,
            }
    }

    pub(super) fn is_null(&self, at: usize) -> bool {
        self.validity.as_ref().is_some_and(|bits| !bits.get_bit(at))
    }

    /// A record has no such key.
    pub(super) fn missing(&mut self) -> Result<(), Misplaced> {
        if let Some(default) = self.default.take() {
            let pushed = self.constant(&default);
            self.default = Some(default);
            if pushed {
                return Ok(());
            }
        }
        let pushed = if self.may_be_null() { self.nothing() } else { Err(Why::Missing) };
        pushed.map_err(|why| {
            let wants = Some(self.field.data_type().to_string());
            Misplaced { path: String::new(), was: None, wants, why }
        })
    }

    /// Pushes a default; `false`: it is none of this column.
    pub(super) fn constant(&mut self, constant: &Constant) -> bool {
        match (constant, &mut self.values) {
            (Constant::Bool(truth), Values::Bool(bits)) => bits.append(*truth),
            (Constant::Fixed(element), Values::Fixed(bytes, _)) => bytes.extend_from_slice(element),
            (Constant::Text(text), Values::Bytes(ends, bytes, most)) => {
                if element::append(ends, bytes, *most, text.as_bytes()).is_err() {
                    return false;
                }
            }
            (Constant::Dictionary(constant), Values::Dictionary(dictionary)) => {
                if !dictionary.values.constant(constant) || dictionary.join().is_err() {
                    return false;
                }
            }
            _ => return false,
        }
        self.count();
        true
    }

    /// What stands where nobody looks: a null, or zeros where there may be none.
    pub(super) fn nothing(&mut self) -> Result<(), Why> {
        match &mut self.values {
            Values::Null => {}
            Values::Bool(bits) => bits.append(false),
            Values::Fixed(bytes, width) => bytes.resize(bytes.len() + *width, 0),
            Values::Bytes(ends, bytes, _) => ends.push(bytes.len() as i64),
            Values::List(ends, items, _) => ends.push(items.len as i64),
            Values::Alike(items, size) => {
                if items.len + *size > SMALL {
                    return Err(Why::Large);
                }
                (0..*size).try_for_each(|_| items.nothing())?;
            }
            Values::Map(ends, entries) => ends.push(entries[0].len as i64),
            Values::Struct(columns) => columns.nothing()?,
            Values::Dictionary(dictionary) => dictionary.nothing(self.field.is_nullable())?,
            Values::Runs(runs) => {
                runs.values.nothing()?;
                runs.join()?;
            }
            Values::Union(union) => union.nothing()?,
        }
        let has_bits = !matches!(self.values, Values::Null | Values::Runs(_) | Values::Union(_));
        if self.field.is_nullable() && has_bits {
            let len = self.len;
            let validity = self.validity.get_or_insert_with(|| {
                let mut validity = BooleanBufferBuilder::new(len + 1);
                validity.append_n(len, true);
                validity
            });
            validity.append(false);
            self.len += 1;
        } else {
            self.count();
        }
        Ok(())
    }

    /// Takes all but the first elements out again, and what was pushed of one that failed.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = len;
        if let Some(validity) = &mut self.validity {
            validity.truncate(len);
        }
        match &mut self.values {
            Values::Null => {}
            Values::Bool(bits) => bits.truncate(len),
            Values::Fixed(bytes, width) => bytes.truncate(len * *width),
            Values::Bytes(ends, bytes, _) => {
                ends.truncate(len + 1);
                bytes.truncate(ends[len] as usize);
            }
            Values::List(ends, items, _) => {
                ends.truncate(len + 1);
                items.truncate(ends[len] as usize);
            }
            Values::Alike(items, size) => items.truncate(len * *size),
            Values::Map(ends, entries) => {
                ends.truncate(len + 1);
                entries.iter_mut().for_each(|column| column.truncate(ends[len] as usize));
            }
            Values::Struct(columns) => {
                columns.columns.iter_mut().for_each(|column| column.truncate(len));
            }
            Values::Dictionary(dictionary) => dictionary.truncate(len),
            Values::Runs(runs) => runs.truncate(len),
            Values::Union(union) => union.truncate(len),
        }
    }

    /// Bytes by which an element is told from others of its column.
    pub(super) fn key(&self, at: usize, out: &mut Vec<u8>) {
        out.push(self.is_null(at).into());
        if self.is_null(at) {
            return;
        }
        let within = |ends: &[i64]| ends[at] as usize..ends[at + 1] as usize;
        let mut each = |columns: &[&Column<'py>], range: std::ops::Range<usize>| {
            out.extend_from_slice(&range.len().to_le_bytes());
            for at in range {
                columns.iter().for_each(|column| column.key(at, out));
            }
        };
        match &self.values {
            Values::Null => {}
            Values::Bool(bits) => out.push(bits.get_bit(at).into()),
            Values::Fixed(bytes, width) => out.extend_from_slice(&bytes[at * *width..][..*width]),
            Values::Bytes(ends, bytes, _) => {
                let range = within(ends);
                out.extend_from_slice(&range.len().to_le_bytes());
                out.extend_from_slice(&bytes[range]);
            }
            Values::List(ends, items, _) => each(&[items], within(ends)),
            Values::Alike(items, size) => each(&[items], at * *size..(at + 1) * *size),
            Values::Map(ends, entries) => each(&[&entries[0], &entries[1]], within(ends)),
            Values::Struct(columns) => {
                columns.columns.iter().for_each(|column| column.key(at, out));
            }
            Values::Dictionary(dictionary) => {
                out.extend_from_slice(&dictionary.indices[at].to_le_bytes());
            }
            Values::Runs(runs) => runs.key(at, out),
            Values::Union(union) => union.key(at, out),
        }
    }

    pub(super) fn finish(mut self) -> ArrayData {
        let data_type = self.field.data_type().clone();
        let nulls = self.validity.as_mut().map(|bits| NullBuffer::new(bits.finish()));
        let (buffers, children) = match self.values {
            Values::Null => (vec![], vec![]),
            Values::Bool(mut bits) => (vec![bits.finish().into_inner()], vec![]),
            Values::Fixed(bytes, _) => (vec![Buffer::from_vec(bytes)], vec![]),
            Values::Bytes(ends, bytes, _) if is_view(&data_type) => {
                return views(&data_type, self.len, nulls, ends, bytes);
            }
            Values::Bytes(ends, bytes, most) => {
                (vec![counts(ends, most), Buffer::from_vec(bytes)], vec![])
            }
            Values::List(ends, items, most) => {
                let buffers = match data_type {
                    DataType::ListView(_) | DataType::LargeListView(_) => {
                        let sizes = ends.windows(2).map(|ends| ends[1] - ends[0]).collect();
                        let starts = ends[..self.len].to_vec();
                        vec![counts(starts, most), counts(sizes, most)]
                    }
                    _ => vec![counts(ends, most)],
                };
                (buffers, vec![items.finish()])
            }
            Values::Alike(items, _) => (vec![], vec![items.finish()]),
            Values::Map(ends, entries) => {
                let DataType::Map(entry, _) = &data_type else { unreachable!("it is a map") };
                let len = entries[0].len;
                let entry = ArrayData::builder(entry.data_type().clone()).len(len);
                let entries = entries.into_iter().map(Column::finish).collect();
                (vec![counts(ends, SMALL)], vec![built(entry.child_data(entries))])
            }
            Values::Struct(columns) => {
                (vec![], columns.columns.into_iter().map(Column::finish).collect())
            }
            Values::Dictionary(dictionary) => dictionary.finish(),
            Values::Runs(runs) => (vec![], runs.finish(&data_type)),
            Values::Union(union) => union.finish(),
        };
        let data = ArrayData::builder(data_type).len(self.len).nulls(nulls).buffers(buffers);
        built(data.child_data(children))
    }
}

/// The buffers are of this module's making; those of bytes are aligned for no element yet.
pub(super) fn built(data: arrow_data::ArrayDataBuilder) -> ArrayData {
    data.align_buffers(true).build().unwrap_or_else(|error| unreachable!("{error}"))
}

/// Counts as wide as the most of them.
fn counts(counts: Vec<i64>, most: usize) -> Buffer {
    if i32::try_from(most).is_ok() { narrow::<i32>(&counts) } else { Buffer::from_vec(counts) }
}

/// Counts of which each is known to have a place in that type.
pub(super) fn narrow<T: ArrowNativeType>(counts: &[i64]) -> Buffer {
    counts.iter().map(|&count| T::usize_as(count as usize)).collect()
}

fn is_view(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8View | DataType::BinaryView)
}

/// Texts or bytes as views of them.
fn views(
    data_type: &DataType,
    len: usize,
    nulls: Option<NullBuffer>,
    ends: Vec<i64>,
    bytes: Vec<u8>,
) -> ArrayData {
    let of = |data_type| {
        let buffers = vec![Buffer::from_vec(ends), Buffer::from_vec(bytes)];
        built(ArrayData::builder(data_type).len(len).nulls(nulls).buffers(buffers))
    };
    match data_type {
        DataType::Utf8View => {
            StringViewArray::from(&LargeStringArray::from(of(DataType::LargeUtf8))).into_data()
        }
        _ => BinaryViewArray::from(&LargeBinaryArray::from(of(DataType::LargeBinary))).into_data(),
    }
}

/// What has its items in order: a list, a tuple, a range, an array.
fn sequence<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if columns::is_list(value) {
        return Some(value.clone());
    }
    let made = value.getattr(intern!(value.py(), "tolist")).ok()?.call0().ok()?;
    made.is_instance_of::<PyList>().then_some(made)
}

/// Pushes the entries of one map, a dict or pairs, each key of which stands in it once; answers where they end.
fn push_entries<'py>(
    entries: &mut [Column<'py>; 2],
    value: &Bound<'py, PyAny>,
) -> Result<Result<usize, Why>, Misplaced> {
    let [keys, values] = entries;
    let items = match value.cast::<PyDict>() {
        Ok(dict) => Some(dict.items().into_any()),
        Err(_) => sequence(value),
    };
    let Some(Ok(items)) = items.map(|items| items.try_iter()) else { return Ok(Err(Why::Type)) };
    let mut seen = HashSet::new();
    for (number, pair) in items.enumerate() {
        let Ok(pair) = pair else { return Ok(Err(Why::Type)) };
        let two = match pair.cast::<PyList>() {
            Ok(list) => list.to_tuple().extract(),
            Err(_) => pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>(),
        };
        let Ok((key, item)) = two else {
            return Err(odd(&pair, "a key and its value", Why::Type).at(number));
        };
        // A key is never null, whatever was announced.
        if key.is_none() {
            return Err(odd(&key, "key of a map", Why::Range).at(number));
        }
        keys.push(&key).map_err(|misplaced| misplaced.at(number))?;
        let mut bytes = Vec::new();
        keys.key(keys.len - 1, &mut bytes);
        if !seen.insert(bytes) {
            return Err(keys.refused(&key, Why::Twice).at(number));
        }
        values.push(&item).map_err(|misplaced| match records::exact_text(&key) {
            Some(name) => misplaced.under(name),
            None => misplaced.at(number),
        })?;
    }
    Ok(if keys.len > SMALL { Err(Why::Large) } else { Ok(keys.len) })
}
