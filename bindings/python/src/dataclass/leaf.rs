//! Values that are text outside and more inside: UUIDs, dates and times, durations, Decimals.

use super::class::{self, Object};
use super::fail::{self, Outcome};
use super::plan::{Held, Node};
use crate::json;
use crate::value::temporal;
use crate::value::types::Types;
use pyo3::exceptions::{PyOSError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyDict, PyList, PyTime, PyTimeAccess,
    PyTzInfo, PyTzInfoAccess,
};
use std::ptr::NonNull;

/// Short text of ASCII that needs no escapes.
pub(super) struct Short {
    pub(super) bytes: [u8; Self::ROOM],
    pub(super) len: usize,
}

impl Short {
    const ROOM: usize = 64;

    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0 }
    }

    #[inline(always)]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline(always)]
    fn two(&mut self, n: u32) {
        self.bytes[self.len..self.len + 2].copy_from_slice(&PAIRS[n as usize % 100]);
        self.len += 2;
    }

    /// Six digits behind a point, if there are any but zeros.
    #[inline(always)]
    fn micros(&mut self, n: u32) {
        if n != 0 {
            self.push(b'.');
            self.two(n / 10_000);
            self.two(n / 100 % 100);
            self.two(n % 100);
        }
    }

    fn number(&mut self, n: u64) {
        let text = n.to_string();
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
    }
}

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut all = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        all[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    all
};

#[inline(always)]
fn own<T>(object: Bound<'_, T>) -> Object {
    // SAFETY: a reference is never null.
    unsafe { NonNull::new_unchecked(object.into_ptr()) }
}

// --- UUID ---

struct Uuids {
    class: Py<PyAny>,
    /// The slots of `int` and `is_safe`.
    int: usize,
    is_safe: usize,
    unknown: Py<PyAny>,
}

fn uuids(py: Python<'_>) -> PyResult<&'static Uuids> {
    static UUIDS: PyOnceLock<Uuids> = PyOnceLock::new();
    UUIDS.get_or_try_init(py, || {
        let class = Types::get(py)?.uuid.bind(py);
        let unknown = py.import("uuid")?.getattr("SafeUUID")?.getattr("unknown")?;
        Ok(Uuids {
            int: class::slot_of(class, "int")?,
            is_safe: class::slot_of(class, "is_safe")?,
            class: class.clone().unbind(),
            unknown: unknown.unbind(),
        })
    })
}

/// Values of hexadecimal digits; 255 for what is none.
static HEX: [u8; 256] = {
    let mut all = [255; 256];
    let mut n = 0;
    while n < 16 {
        all[b"0123456789abcdef"[n] as usize] = n as u8;
        all[b"0123456789ABCDEF"[n] as usize] = n as u8;
        n += 1;
    }
    all
};

/// Where the pairs of digits begin among hyphens.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The UUID of a text with hyphens in their places, or without any.
pub(super) fn uuid(py: Python<'_>, text: &[u8]) -> Outcome<Option<Object>> {
    let mut bytes = [0; 16];
    let mut wrong = 0;
    let mut pair = |at: usize, from: &[u8]| {
        let (high, low) = (HEX[from[0] as usize], HEX[from[1] as usize]);
        wrong |= high | low;
        bytes[at] = high << 4 | low & 15;
    };
    if let Ok(text) = <&[u8; 36]>::try_from(text) {
        if [text[8], text[13], text[18], text[23]] != *b"----" {
            return Ok(None);
        }
        for (at, &from) in PLACES.iter().enumerate() {
            pair(at, &text[from..from + 2]);
        }
    } else if let Ok(text) = <&[u8; 32]>::try_from(text) {
        for at in 0..16 {
            pair(at, &text[2 * at..2 * at + 2]);
        }
    } else {
        return Ok(None);
    }
    if wrong > 15 {
        return Ok(None);
    }
    make_uuid(py, u128::from_be_bytes(bytes)).map(Some)
}

pub(super) fn make_uuid(py: Python<'_>, n: u128) -> Outcome<Object> {
    let uuids = uuids(py)?;
    let int = n.into_pyobject(py)?;
    let class = uuids.class.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: the class has no `__new__` of its own and two slots at these offsets, which take a reference each.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class, 0);
        let Some(object) = NonNull::new(object) else { return Err(fail::raised(py)) };
        let slot = |offset| object.as_ptr().cast::<u8>().add(offset).cast::<class::Slot>();
        *slot(uuids.int) = int.into_ptr();
        *slot(uuids.is_safe) = uuids.unknown.clone_ref(py).into_ptr();
        Ok(object)
    }
}

/// The text of a UUID; whether it is one.
#[inline(always)]
pub(super) fn uuid_text(text: &mut Short, object: Borrowed<'_, '_, PyAny>) -> Outcome<bool> {
    let py = object.py();
    let class = &uuids(py)?.class;
    if object.get_type_ptr().cast() != class.as_ptr() && !object.is_instance(class.bind(py))? {
        return Ok(false);
    }
    let n = uuid_number(object)?;
    for (at, byte) in PLACES.into_iter().zip(n.to_be_bytes()) {
        let [high, low] = HEX_PAIRS[usize::from(byte)];
        text.bytes[at] = high;
        text.bytes[at + 1] = low;
    }
    for at in [8, 13, 18, 23] {
        text.bytes[at] = b'-';
    }
    text.len = 36;
    Ok(true)
}

/// The number that a UUID is.
#[inline(always)]
pub(super) fn uuid_number(object: Borrowed<'_, '_, PyAny>) -> Outcome<u128> {
    let py = object.py();
    let uuids = uuids(py)?;
    let is_exact = object.get_type_ptr().cast() == uuids.class.as_ptr();
    let slot = match is_exact && !cfg!(Py_GIL_DISABLED) {
        // SAFETY: of the very class the slot holds a reference or null.
        true => unsafe { *object.as_ptr().cast::<u8>().add(uuids.int).cast::<class::Slot>() },
        // What only says that it is one may be smaller.
        false => std::ptr::null_mut(),
    };
    let int = match !slot.is_null() {
        // SAFETY: an object that is alive, which the call holds.
        true => unsafe { Borrowed::from_ptr(py, slot) }.to_owned(),
        false => object.getattr(intern!(py, "int"))?,
    };
    int.extract().or_else(|error| no_uuid(py, error))
}

/// What calls itself a UUID and is no number of 128 bits.
#[cold]
fn no_uuid(py: Python<'_>, error: PyErr) -> Outcome<u128> {
    match error.is_instance_of::<PyOverflowError>(py) || error.is_instance_of::<PyTypeError>(py) {
        true => fail::invalid(super::message(&Node::Uuid)),
        false => Err(error.into()),
    }
}

/// `00` to `ff`.
static HEX_PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut n = 0;
    while n < 256 {
        all[n] = [DIGITS[n >> 4], DIGITS[n & 15]];
        n += 1;
    }
    all
};

// --- dates and times ---

/// A date as ISO 8601 writes it, at the text's begin.
#[inline(always)]
pub(super) fn date_text(text: &mut Short, day: &impl PyDateAccess) {
    let (century, year) = ((day.get_year() / 100) as u32, (day.get_year() % 100) as u32);
    let ([a, b], [c, d]) = (pair(century), pair(year));
    let ([e, f], [g, h]) = (pair(day.get_month().into()), pair(day.get_day().into()));
    text.bytes[..10].copy_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
    text.len = 10;
}

#[inline(always)]
fn pair(n: u32) -> [u8; 2] {
    PAIRS[n as usize % 100]
}

#[inline(always)]
fn clock_text(text: &mut Short, time: &impl PyTimeAccess) {
    let ([a, b], [c, d]) = (pair(time.get_hour().into()), pair(time.get_minute().into()));
    let [e, f] = pair(time.get_second().into());
    let at = text.len;
    text.bytes[at..at + 8].copy_from_slice(&[a, b, b':', c, d, b':', e, f]);
    text.len = at + 8;
    text.micros(time.get_microsecond());
}

/// The offset of a datetime or a time; nothing where it has none.
#[inline(always)]
fn offset_text(
    text: &mut Short,
    object: &Bound<'_, PyAny>,
    zone: Option<Bound<'_, PyTzInfo>>,
) -> PyResult<()> {
    let py = object.py();
    let Some(zone) = zone else { return Ok(()) };
    if zone.as_ptr() == PyTzInfo::utc(py)?.as_ptr() {
        let at = text.len;
        text.bytes[at..at + 6].copy_from_slice(b"+00:00");
        text.len = at + 6;
        return Ok(());
    }
    let delta = object.call_method0(intern!(py, "utcoffset"))?;
    if delta.is_none() {
        return Ok(());
    }
    let delta = delta.cast::<PyDelta>()?;
    let seconds = delta.get_days() * 86_400 + delta.get_seconds();
    text.push(if seconds < 0 { b'-' } else { b'+' });
    let n = seconds.unsigned_abs();
    text.two(n / 3600);
    text.push(b':');
    text.two(n / 60 % 60);
    if n % 60 != 0 || delta.get_microseconds() != 0 {
        text.push(b':');
        text.two(n % 60);
    }
    Ok(())
}

#[inline(always)]
pub(super) fn datetime_text(text: &mut Short, moment: &Bound<'_, PyDateTime>) -> Outcome<()> {
    temporal::exactly(moment.as_any(), temporal::OR_ROUND)?;
    date_text(text, moment);
    text.push(b'T');
    clock_text(text, moment);
    Ok(offset_text(text, moment.as_any(), moment.get_tzinfo())?)
}

pub(super) fn time_text(text: &mut Short, time: &Bound<'_, PyTime>) -> PyResult<()> {
    clock_text(text, time);
    offset_text(text, time.as_any(), time.get_tzinfo())
}

/// Whether it is a date, and of that very class.
#[inline(always)]
pub(super) fn is_day(object: Borrowed<'_, '_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyDate>()
}

/// The text of a datetime of that very class, if it is in UTC, with a `Z`, or without a zone; and whether it has one.
#[inline(always)]
pub(super) fn plain_moment(object: Borrowed<'_, '_, PyAny>) -> PyResult<Option<(Short, bool)>> {
    if !object.is_exact_instance_of::<PyDateTime>() {
        return Ok(None);
    }
    let moment = object.cast::<PyDateTime>()?;
    let zone = moment.get_tzinfo();
    let is_utc = match &zone {
        Some(zone) => zone.as_ptr() == PyTzInfo::utc(object.py())?.as_ptr(),
        None => !moment.get_fold(),
    };
    if !is_utc {
        return Ok(None);
    }
    let mut text = Short::new();
    date_text(&mut text, &*moment);
    text.push(b'T');
    clock_text(&mut text, &*moment);
    if zone.is_some() {
        text.push(b'Z');
    }
    Ok(Some((text, zone.is_some())))
}

/// What is left of a text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    #[inline(always)]
    fn digits<const N: usize>(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        head.iter().try_fold(0, |n, byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit < 10).then(|| n * 10 + u32::from(digit))
        })
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        (first == byte).then_some(())
    }

    #[inline(always)]
    fn has(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    #[inline(always)]
    fn day(&mut self) -> Option<(i32, u8, u8)> {
        let year = self.digits::<4>()?;
        self.take(b'-')?;
        let month = self.digits::<2>()?;
        self.take(b'-')?;
        Some((year as i32, month as u8, self.digits::<2>()? as u8))
    }

    /// Hour, minute, second, microsecond; further digits of a second are cut.
    #[inline(always)]
    fn clock(&mut self) -> Option<(u8, u8, u8, u32)> {
        let hour = self.digits::<2>()?;
        self.take(b':')?;
        let minute = self.digits::<2>()?;
        let (mut second, mut micros) = (0, 0);
        if self.has(b':') {
            second = self.digits::<2>()?;
            if self.has(b'.') || self.has(b',') {
                let len = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (fraction, rest) = self.0.split_at(len);
                let mut six = [b'0'; 6];
                let kept = len.min(6);
                six[..kept].copy_from_slice(&fraction[..kept]);
                micros = if len == 0 { return None } else { Rest(&six).digits::<6>()? };
                self.0 = rest;
            }
        }
        Some((hour as u8, minute as u8, second as u8, micros))
    }

    /// Seconds from UTC, if there is an offset.
    #[inline(always)]
    fn offset(&mut self) -> Option<Option<i32>> {
        if self.has(b'Z') || self.has(b'z') {
            return Some(Some(0));
        }
        let negative = self.0.first() == Some(&b'-');
        if !self.has(b'-') && !self.has(b'+') {
            return Some(None);
        }
        let hours = self.digits::<2>()?;
        let mut seconds = hours * 3600;
        if !self.0.is_empty() {
            let colon = self.has(b':');
            let minutes = self.digits::<2>()?;
            seconds += minutes * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if colon && self.has(b':') {
                seconds += self.digits::<2>()?;
            }
        }
        let seconds = seconds as i32;
        (seconds < 86_400).then_some(Some(if negative { -seconds } else { seconds }))
    }
}

fn zone(py: Python<'_>, offset: Option<i32>) -> PyResult<Option<Bound<'_, PyTzInfo>>> {
    Ok(match offset {
        None => None,
        Some(0) => Some(PyTzInfo::utc(py)?.to_owned()),
        Some(n) => Some(PyTzInfo::fixed_offset(py, PyDelta::new(py, 0, n, 0, true)?)?),
    })
}

/// `None` for what Python's types have no room for.
fn in_range<T>(py: Python<'_>, made: PyResult<Bound<'_, T>>) -> Outcome<Option<Object>> {
    match made {
        Ok(made) => Ok(Some(own(made))),
        Err(error)
            if error.is_instance_of::<PyValueError>(py)
                || error.is_instance_of::<PyOverflowError>(py)
                || error.is_instance_of::<PyOSError>(py) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn datetime(py: Python<'_>, text: &[u8]) -> Outcome<Option<Object>> {
    let mut rest = Rest(text);
    let mut parse = || {
        let day = rest.day()?;
        let parts = match rest.0.split_first()? {
            (b'T' | b't' | b' ', after) => {
                rest.0 = after;
                (day, rest.clock()?, rest.offset()?)
            }
            _ => return None,
        };
        rest.0.is_empty().then_some(parts)
    };
    let Some(((year, month, day), (hour, minute, second, micros), offset)) = parse() else {
        return Ok(None);
    };
    let zone = zone(py, offset)?;
    let made = PyDateTime::new(py, year, month, day, hour, minute, second, micros, zone.as_ref());
    in_range(py, made)
}

pub(super) fn date(py: Python<'_>, text: &[u8]) -> Outcome<Option<Object>> {
    let mut rest = Rest(text);
    match rest.day() {
        Some((year, month, day)) if rest.0.is_empty() => {
            in_range(py, PyDate::new(py, year, month, day))
        }
        _ => Ok(None),
    }
}

pub(super) fn time(py: Python<'_>, text: &[u8]) -> Outcome<Option<Object>> {
    let mut rest = Rest(text);
    let mut parse = || {
        let parts = (rest.clock()?, rest.offset()?);
        rest.0.is_empty().then_some(parts)
    };
    let Some(((hour, minute, second, micros), offset)) = parse() else { return Ok(None) };
    let zone = zone(py, offset)?;
    in_range(py, PyTime::new(py, hour, minute, second, micros, zone.as_ref()))
}

// --- durations ---

/// A duration as ISO 8601 writes it: days, and seconds of a day, `P1DT2.5S`.
pub(super) fn delta_text(delta: &Bound<'_, PyDelta>) -> Outcome<Short> {
    temporal::exactly(delta.as_any(), temporal::OR_ROUND)?;
    let mut micros = i128::from(delta.get_days()) * 86_400_000_000
        + i128::from(delta.get_seconds()) * 1_000_000
        + i128::from(delta.get_microseconds());
    let mut text = Short::new();
    if micros < 0 {
        text.push(b'-');
        micros = -micros;
    }
    text.push(b'P');
    let (days, rest) = (micros / 86_400_000_000, micros % 86_400_000_000);
    if days > 0 {
        text.number(days as u64);
        text.push(b'D');
    }
    if rest > 0 || days == 0 {
        text.push(b'T');
        text.number((rest / 1_000_000) as u64);
        text.micros((rest % 1_000_000) as u32);
        text.push(b'S');
    }
    Ok(text)
}

/// Weeks, days, hours, minutes and seconds, of which only the last may have a fraction; no months and no years, whose
/// length is not known.
pub(super) fn delta(py: Python<'_>, text: &[u8]) -> Outcome<Option<Object>> {
    let Some(micros) = delta_micros(text) else { return Ok(None) };
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let Ok(days) = i32::try_from(days) else { return Ok(None) };
    let (seconds, micros) = ((rest / 1_000_000) as i32, (rest % 1_000_000) as i32);
    in_range(py, PyDelta::new(py, days, seconds, micros, false))
}

fn delta_micros(text: &[u8]) -> Option<i128> {
    const UNITS: [(u8, bool, i128); 5] = [
        (b'W', false, 604_800_000_000),
        (b'D', false, 86_400_000_000),
        (b'H', true, 3_600_000_000),
        (b'M', true, 60_000_000),
        (b'S', true, 1_000_000),
    ];
    let mut rest = Rest(text);
    let negative = rest.has(b'-');
    if !negative {
        rest.has(b'+');
    }
    rest.take(b'P')?;
    let (mut micros, mut unit, mut in_day, mut parts) = (0i128, 0, false, 0);
    while !rest.0.is_empty() {
        if rest.has(b'T') {
            if in_day || rest.0.is_empty() {
                return None;
            }
            in_day = true;
        }
        let len = rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 || len > 18 {
            return None;
        }
        let mut n = 0i128;
        for &byte in &rest.0[..len] {
            n = n * 10 + i128::from(byte - b'0');
        }
        rest.0 = &rest.0[len..];
        let mut fraction = 0i128;
        let has_fraction = rest.has(b'.') || rest.has(b',');
        if has_fraction {
            let len = rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if len == 0 {
                return None;
            }
            let mut six = [b'0'; 6];
            six[..len.min(6)].copy_from_slice(&rest.0[..len.min(6)]);
            fraction = Rest(&six).digits::<6>()?.into();
            rest.0 = &rest.0[len..];
        }
        let (&letter, after) = rest.0.split_first()?;
        rest.0 = after;
        let found = UNITS[unit..].iter().position(|&(name, _, _)| name == letter)? + unit;
        let (_, of_day, length) = UNITS[found];
        // A fraction ends it.
        if of_day != in_day || (has_fraction && !rest.0.is_empty()) {
            return None;
        }
        micros += n * length + fraction * (length / 1_000_000);
        (unit, parts) = (found + 1, parts + 1);
    }
    (parts > 0).then_some(if negative { -micros } else { micros })
}

// --- Decimals ---

/// Whether Decimal reads it as a finite number, and without what only Python writes.
fn is_decimal(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let count = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = count(rest);
    let mut rest = &rest[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        fraction = count(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    let [b'e' | b'E', exponent @ ..] = rest else { return rest.is_empty() };
    let digits =
        exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
    !digits.is_empty() && count(digits) == digits.len()
}

/// Whether it names a number that is none, or endless.
fn is_special(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let names: [&[u8]; 4] = [b"nan", b"inf", b"infinity", b"snan"];
    names.iter().any(|name| rest.eq_ignore_ascii_case(name))
}

/// The Decimal of a text.
pub(super) fn decimal(py: Python<'_>, text: &[u8]) -> Outcome<Option<Object>> {
    if !is_decimal(text) {
        return if is_special(text) { fail::invalid(fail::NOT_FINITE) } else { Ok(None) };
    }
    let given = json::make_ascii(text);
    if given.is_null() {
        return Err(fail::raised(py));
    }
    // SAFETY: a new reference.
    let given = unsafe { Bound::from_owned_ptr(py, given) };
    let made = decimal_of(&given)?;
    // Where the thread's context traps nothing, an exponent that is too long makes it NaN.
    if has_long_exponent(text)
        && let Some(object) = made
        && let made = class::owned(py, object)
    {
        let is_finite = made.call_method0(intern!(py, "is_finite"))?.is_truthy()?;
        return Ok(is_finite.then(|| own(made)));
    }
    Ok(made)
}

/// Whether a number's exponent may be beyond what Decimals hold, which is 18 digits.
fn has_long_exponent(text: &[u8]) -> bool {
    text.len() > DIGITS
        && text[..text.len() - DIGITS].iter().any(|byte| matches!(byte, b'e' | b'E'))
}

/// Digits that fit into 64 bits.
const DIGITS: usize = 18;

/// Mantissa and exponent of a number that is written plainly and has few digits; none of `-0`, which they can't tell.
#[inline(always)]
pub(super) fn parts_of_decimal(text: &[u8]) -> Option<(i64, i64)> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > DIGITS {
        return None;
    }
    let (mut mantissa, mut exponent, mut has_point) = (0i64, 0, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + i64::from(byte - b'0');
                exponent -= i64::from(has_point);
            }
            b'.' if !has_point => has_point = true,
            _ => return None,
        }
    }
    match negative {
        true if mantissa == 0 => None,
        true => Some((-mantissa, exponent)),
        false => Some((mantissa, exponent)),
    }
}

/// The Decimal of a mantissa and an exponent, if they are small.
#[inline(always)]
pub(super) fn decimal_of_parts(
    py: Python<'_>,
    mantissa: Option<i128>,
    exponent: Option<i128>,
) -> Outcome<Option<Object>> {
    let (Some(mantissa), Some(exponent)) = (mantissa, exponent) else { return Ok(None) };
    let few = i128::from(10u64.pow(DIGITS as u32));
    if mantissa.abs() >= few || !(-(DIGITS as i128)..=0).contains(&exponent) {
        return Ok(None);
    }
    let (mut rest, behind) = (mantissa.unsigned_abs() as u64, -exponent as usize);
    // From its end: digits, the point among them, and at least one before it.
    let mut text = [0; 2 * DIGITS];
    let (mut at, mut count) = (text.len(), 0);
    while rest > 0 || count <= behind {
        if count == behind && behind > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        (rest, count) = (rest / 10, count + 1);
    }
    if mantissa < 0 {
        at -= 1;
        text[at] = b'-';
    }
    decimal(py, &text[at..])
}

/// The Decimal that the class makes of a str or an int.
pub(super) fn decimal_of(value: &Bound<'_, PyAny>) -> Outcome<Option<Object>> {
    let py = value.py();
    let class = Types::get(py)?.decimal.as_ptr();
    // SAFETY: a class and an argument that are alive; a new reference or null.
    match NonNull::new(unsafe { ffi::PyObject_CallOneArg(class, value.as_ptr()) }) {
        Some(made) => Ok(Some(made)),
        None => arithmetic(py),
    }
}

/// `None` for what Decimals have no room for.
#[cold]
fn arithmetic(py: Python<'_>) -> Outcome<Option<Object>> {
    let error = PyErr::fetch(py);
    match error.is_instance_of::<pyo3::exceptions::PyArithmeticError>(py) {
        true => Ok(None),
        false => Err(error.into()),
    }
}

/// Digits that a rounded Decimal may have: more than numbers have, so that what is left out is a short text that makes a
/// long number.
const ROUNDED: usize = 4096;

/// A context that no thread changes, so that a number is rounded alike wherever it is.
fn context(py: Python<'_>) -> PyResult<&'static Py<PyAny>> {
    static CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CONTEXT.get_or_try_init(py, || {
        let decimal = py.import("decimal")?;
        let options = PyDict::new(py);
        options.set_item("prec", ROUNDED)?;
        options.set_item("rounding", decimal.getattr("ROUND_HALF_EVEN")?)?;
        options.set_item("Emax", decimal.getattr("MAX_EMAX")?)?;
        options.set_item("Emin", decimal.getattr("MIN_EMIN")?)?;
        // What can't be done gives NaN.
        options.set_item("traps", PyList::empty(py))?;
        Ok(decimal.getattr("Context")?.call((), Some(&options))?.unbind())
    })
}

/// The Decimal rounded to a step; `None` where it has too many digits for that.
pub(super) fn rounded(
    decimal: &Bound<'_, PyAny>,
    step: Borrowed<'_, '_, PyAny>,
    rounding: Option<Borrowed<'_, '_, PyAny>>,
) -> Outcome<Option<Object>> {
    let py = decimal.py();
    let class = Types::get(py)?.decimal.bind(py);
    let is_finite = |number: &Bound<'_, PyAny>| {
        class.call_method1(intern!(py, "is_finite"), (number,))?.is_truthy()
    };
    if !is_finite(decimal)? {
        return fail::invalid(fail::NOT_FINITE);
    }
    // By Decimal's own method, whatever a class below has.
    let given = (decimal, step, rounding, context(py)?);
    let made = class.call_method1(intern!(py, "quantize"), given)?;
    Ok(if is_finite(&made)? { Some(own(made)) } else { None })
}

// --- arrays ---

/// Whether it is an array of NumPy's, and of that dtype.
pub(super) fn is_array(
    object: Borrowed<'_, '_, PyAny>,
    class: Borrowed<'_, '_, PyAny>,
    dtype: Option<Held>,
) -> PyResult<bool> {
    let py = object.py();
    if !object.is_instance(&class)? {
        return Ok(false);
    }
    match dtype {
        Some(dtype) => object.getattr(intern!(py, "dtype"))?.eq(dtype.bind(py)),
        None => Ok(true),
    }
}

/// An array as it is, if it is of that dtype, or one made of lists; `None` of what makes none.
pub(super) fn array(
    given: &Bound<'_, PyAny>,
    class: Borrowed<'_, '_, PyAny>,
    dtype: Option<Held>,
) -> Outcome<Option<Object>> {
    let py = given.py();
    if given.is_instance(&class)? {
        let fits = is_array(given.as_borrowed(), class, dtype)?;
        return Ok(fits.then(|| own(given.clone())));
    }
    if !given.is_instance_of::<PyList>() {
        return Ok(None);
    }
    let numpy = py.import(intern!(py, "numpy"))?;
    let made = numpy.call_method1(intern!(py, "array"), (given, dtype.map(|held| held.bind(py))));
    match made {
        // Of objects, or of text where nobody asked for it: it was no array.
        Ok(made) => {
            let kind: String =
                made.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "kind"))?.extract()?;
            let is_one = dtype.is_some() || matches!(kind.as_str(), "b" | "i" | "u" | "f");
            Ok(is_one.then(|| own(made)))
        }
        Err(error)
            if error.is_instance_of::<PyValueError>(py)
                || error.is_instance_of::<PyTypeError>(py)
                || error.is_instance_of::<PyOverflowError>(py) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
