//! Columns as what a dump becomes: each part goes to the column of its field.

use super::class::{Class, Field};
use super::columns::{Columns, Number, Values};
use super::fail::{self, Outcome};
use super::leaf;
use super::target::Target;
use crate::table::moments::{DAY, DAYS, days, of_day};
use crate::value::encode::text;
use crate::value::temporal;
use crate::value::types::{Types, own_text};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyDate, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTzInfo, PyTzInfoAccess,
};

type Any<'a, 'py> = Borrowed<'a, 'py, PyAny>;

/// Rows of a table that grows.
pub(super) struct Rows {
    pub(super) columns: Columns,
    /// The column that the next part belongs to.
    pub(super) current: Number,
}

impl Rows {
    /// A value has been put in, or `message` says why not.
    #[inline(always)]
    fn put(&mut self, there: Result<(), &'static str>) -> Outcome<()> {
        match there {
            Ok(()) => {
                self.columns.at(self.current).is_there();
                Ok(())
            }
            Err(message) => fail::invalid(message),
        }
    }

    #[inline(always)]
    fn values(&mut self) -> &mut Values {
        &mut self.columns.at(self.current).values
    }
}

impl<'py> Target<'py> for Rows {
    type Value = ();
    /// And how many items were put in.
    type Seq = (Number, usize);
    type Map = Number;
    type Record = Number;
    const IS_TEXT: bool = false;
    const IS_WHOLE: bool = true;

    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        if object.is_none() {
            self.columns.push_null(self.current);
            return Ok(());
        }
        let there = match self.values() {
            Values::Text(pieces) => {
                pieces.push(text(&object)?.as_bytes());
                Ok(())
            }
            Values::Choice(choices) => {
                choices.push(text(&object)?);
                Ok(())
            }
            Values::Int(all) => match object.extract::<i64>() {
                Ok(n) => {
                    all.push(n);
                    Ok(())
                }
                Err(_) => Err("Not within 64 bits."),
            },
            Values::Float(all) => {
                all.push(object.extract()?);
                Ok(())
            }
            Values::Bool(bits) => {
                bits.append(object.is_truthy()?);
                Ok(())
            }
            _ => Err(fail::REFUSED),
        };
        self.put(there)
    }

    fn plain_text(&mut self, object: Any<'_, 'py>, _text: &[u8]) -> Outcome<()> {
        self.scalar(object)
    }

    fn ascii(&mut self, text: &[u8]) -> Outcome<()> {
        let there = match self.values() {
            Values::Text(pieces) => {
                pieces.push(text);
                Ok(())
            }
            _ => Err(fail::REFUSED),
        };
        self.put(there)
    }

    fn keep_decimal(&mut self, _object: Any<'_, 'py>, text: &[u8]) -> Outcome<()> {
        let there = match self.values() {
            Values::Decimal(all) => all.push(text).then_some(()).ok_or("Not within 38 digits."),
            _ => Err(fail::REFUSED),
        };
        self.put(there)
    }

    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        let there = match self.values() {
            Values::Uuid(all) => {
                all.extend(leaf::uuid_number(object)?.to_be_bytes());
                Ok(())
            }
            Values::Bytes(pieces) => {
                pieces.push(object.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
                Ok(())
            }
            Values::Date(all) => {
                let day = object.cast::<PyDate>().map_err(PyErr::from)?;
                all.push(days(&*day) as i32);
                Ok(())
            }
            Values::Delta(all) => {
                temporal::exactly(&object, temporal::OR_ROUND)?;
                let delta = object.cast::<PyDelta>().map_err(PyErr::from)?;
                let micros = micros(&delta);
                i64::try_from(micros).map(|n| all.push(n)).map_err(|_| "Not within 64 bits.")
            }
            Values::Time(all) => {
                let time = object.cast::<PyTime>().map_err(PyErr::from)?;
                match time.get_tzinfo() {
                    None => {
                        all.push(of_day(&*time));
                        Ok(())
                    }
                    Some(_) => Err("A time with a zone has no column."),
                }
            }
            Values::Moment(all, aware) => {
                temporal::exactly(&object, temporal::OR_ROUND)?;
                let moment = object.cast::<PyDateTime>().map_err(PyErr::from)?;
                let offset = offset(&moment)?;
                let micros = days(&*moment) * DAY + of_day(&*moment) - offset.unwrap_or(0);
                if *aware == Some(offset.is_none()) {
                    Err("With a zone among such without, or without among such with one.")
                } else if !DAYS.contains(&micros.div_euclid(DAY)) {
                    // Nobody could read it as a datetime again.
                    Err("Not within the years 1 to 9999 in UTC.")
                } else {
                    *aware = Some(offset.is_some());
                    all.push(micros);
                    Ok(())
                }
            }
            _ => Err(fail::REFUSED),
        };
        self.put(there)
    }

    fn array(&mut self, _object: Any<'_, 'py>, _depth: usize) -> Outcome<()> {
        fail::invalid(fail::REFUSED)
    }

    fn structure(&mut self, _object: Bound<'py, PyAny>, _depth: usize) -> Outcome<()> {
        fail::invalid(fail::REFUSED)
    }

    fn foreign(&mut self, _object: Any<'_, 'py>, _depth: usize) -> Outcome<()> {
        fail::invalid(fail::REFUSED)
    }

    fn seq(&mut self, _len: usize) -> (Number, usize) {
        (self.current, 0)
    }

    fn item(&mut self, (number, count): &mut (Number, usize)) {
        self.current = self.columns.item(*number, *count).unwrap_or(*number);
        *count += 1;
    }

    fn add(&mut self, _seq: &mut (Number, usize), (): ()) {}

    fn end(&mut self, (number, count): (Number, usize)) -> Outcome<()> {
        match self.columns.end_items(number, count) {
            true => Ok(()),
            false => fail::invalid("Not a valid tuple: a row has all items of a NamedTuple."),
        }
    }

    fn map(&mut self, _len: usize) -> Outcome<Number> {
        Ok(self.current)
    }

    fn record(&mut self, _class: &Class, _len: usize) -> Outcome<Number> {
        Ok(self.current)
    }

    #[inline(always)]
    fn field(&mut self, record: &mut Number, field: &Field) {
        self.current = self.columns.field(*record, field.position);
    }

    fn absent(&mut self, record: &mut Number, field: &Field) {
        let number = self.columns.field(*record, field.position);
        self.columns.push_null(number);
    }

    fn put_field(&mut self, _record: &mut Number, _field: &Field, (): ()) -> Outcome<()> {
        Ok(())
    }

    fn end_record(&mut self, record: Number) -> Outcome<()> {
        self.columns.at(record).is_there();
        Ok(())
    }

    fn key(&mut self, map: &mut Number, key: Any<'_, 'py>) -> Outcome<()> {
        self.current = self.columns.items(*map);
        // What a key is by its plan has been made of it already.
        let is_leaf = !matches!(
            self.values(),
            Values::Text(_)
                | Values::Choice(_)
                | Values::Int(_)
                | Values::Float(_)
                | Values::Bool(_)
        );
        let is_decimal = matches!(self.values(), Values::Decimal(_));
        match (is_leaf, is_decimal) {
            (_, true) => {
                let py = key.py();
                let written = own_text(key, Types::get(py)?.decimal.bind(py))?;
                self.keep_decimal(key, text(&written.as_borrowed())?.as_bytes())?;
            }
            (true, _) => self.keep(key)?,
            _ => self.scalar(key)?,
        }
        self.current = self.columns.values(*map);
        Ok(())
    }

    fn put(&mut self, _map: &mut Number, _key: Any<'_, 'py>, (): ()) -> Outcome<()> {
        Ok(())
    }

    fn end_map(&mut self, map: Number) -> Outcome<()> {
        self.columns.end(map);
        Ok(())
    }
}

fn micros(delta: &Bound<'_, PyDelta>) -> i128 {
    let seconds = i128::from(delta.get_days()) * 86_400 + i128::from(delta.get_seconds());
    seconds * 1_000_000 + i128::from(delta.get_microseconds())
}

/// Microseconds from UTC; `None` of what has no zone.
fn offset(moment: &Bound<'_, PyDateTime>) -> PyResult<Option<i64>> {
    let py = moment.py();
    let Some(zone) = moment.get_tzinfo() else { return Ok(None) };
    if zone.as_ptr() == PyTzInfo::utc(py)?.as_ptr() {
        return Ok(Some(0));
    }
    let offset = moment.call_method0(intern!(py, "utcoffset"))?;
    if offset.is_none() {
        return Ok(None);
    }
    Ok(Some(micros(offset.cast::<PyDelta>()?) as i64))
}
