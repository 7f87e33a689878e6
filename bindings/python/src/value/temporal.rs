//! Dates, times and durations, as text with an offset where there is one.

use super::fault::Fault;
use super::types::{Types, warn_lossy};
use pyo3::exceptions::{PyOSError, PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess,
    PyTzInfo, PyTzInfoAccess,
};
use slipring_codec::token::Sink;
use slipring_codec::{Encoder, tag};
use std::fmt::Write;

/// Writes a date, time, datetime or timedelta; `false` if it is none.
pub(crate) fn write<S: Sink>(
    object: &Bound<'_, PyAny>,
    encoder: &mut Encoder<S>,
) -> Result<bool, Box<Fault>> {
    let py = object.py();
    exactly(object, "send it as a NumPy array of its dtype, or None where there is none")?;
    // A datetime is a date, too.
    if let Ok(moment) = object.cast::<PyDateTime>() {
        let mut text = date(moment);
        text.push('T');
        clock(&mut text, moment);
        let Some(zone) = moment.get_tzinfo() else {
            if moment.get_fold() {
                let lost = "of a datetime without a zone the fold is lost: give it a ZoneInfo";
                warn_lossy(py, lost)?;
            }
            encoder.tag(tag::NAIVE_DATETIME).text(&text);
            return Ok(true);
        };
        let offset = moment.call_method0(intern!(py, "utcoffset"))?;
        if offset.is_none() {
            let what = "a datetime whose tzinfo gives no offset from UTC".to_owned();
            let hint = "send it with another tzinfo, or with replace(tzinfo=None)";
            return Err(Fault::refused(what, "datetime".into(), hint));
        }
        let offset = self::offset(object, &offset)?;
        if !zone.is_instance(Types::get(py)?.zone_info.bind(py))? {
            whole_minutes(object, offset)?;
            warn_zone(&zone)?;
            zulu_or_offset(&mut text, offset);
            encoder.tag(tag::DATETIME).text(&text);
            return Ok(true);
        }
        let name: Option<String> = zone.getattr(intern!(py, "key"))?.extract()?;
        let Some(name) = name else {
            let what = "a zone that was read from a file has no name".to_owned();
            let hint = "give ZoneInfo.from_file a key, or convert with astimezone(timezone.utc)";
            return Err(Fault::refused(what, "datetime".into(), hint));
        };
        let (abbreviation, saving) = (
            moment.call_method0(intern!(py, "tzname"))?,
            self::offset(object, &moment.call_method0(intern!(py, "dst"))?)?,
        );
        write_offset(&mut text, offset);
        let _ = write!(text, "[{name}]");
        encoder.tag(tag::ZONED_DATETIME).array(3).text(&text);
        encoder.text(abbreviation.extract::<Option<&str>>()?.unwrap_or("")).int(saving);
    } else if let Ok(day) = object.cast::<PyDate>() {
        encoder.tag(tag::DATE).text(&date(day));
    } else if let Ok(time) = object.cast::<PyTime>() {
        let mut text = String::new();
        clock(&mut text, time);
        if time.get_tzinfo().is_some() {
            let offset = time.call_method0(intern!(py, "utcoffset"))?;
            if offset.is_none() {
                let what = "a time of day in a zone without a fixed offset".to_owned();
                let hint = "send the datetime, or time.replace(tzinfo=None)";
                return Err(Fault::refused(what, "time".into(), hint));
            }
            let offset = self::offset(object, &offset)?;
            whole_minutes(object, offset)?;
            if let Some(zone) = time.get_tzinfo() {
                warn_zone(&zone)?;
            }
            zulu_or_offset(&mut text, offset);
        }
        encoder.tag(tag::TIME).text(&text);
    } else if let Ok(delta) = object.cast::<PyDelta>() {
        let seconds = i64::from(delta.get_days()) * 86_400 + i64::from(delta.get_seconds());
        let micros = delta.get_microseconds();
        encoder.tag(tag::DURATION).map(if micros == 0 { 1 } else { 2 }).int(1).int(seconds);
        if micros != 0 {
            encoder.int(-6).int(micros.into());
        }
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Says so where a zone is more than its offset from UTC, which alone is sent.
fn warn_zone(zone: &Bound<'_, PyTzInfo>) -> PyResult<()> {
    let py = zone.py();
    let fixed = zone.get_type().is(PyTzInfo::utc(py)?.get_type());
    // The arguments that would make it again: an offset, and a name if it was given one.
    if fixed && zone.call_method0(intern!(py, "__getinitargs__"))?.len()? < 2 {
        return Ok(());
    }
    let kind = zone.get_type().name()?;
    let lost = format!(
        "of the {kind} of a date or time only the offset from UTC is sent: a ZoneInfo keeps its name"
    );
    warn_lossy(py, &lost)
}

/// A date, time or datetime as RFC 3339 writes it; a naive one without an offset, UTC as `+00:00`.
pub(crate) fn rfc3339(object: &Bound<'_, PyAny>) -> Result<String, Box<Fault>> {
    let py = object.py();
    exactly(object, OR_ROUND)?;
    let mut text = String::new();
    let aware = if let Ok(moment) = object.cast::<PyDateTime>() {
        text = date(moment);
        text.push('T');
        clock(&mut text, moment);
        moment.get_tzinfo().is_some()
    } else if let Ok(time) = object.cast::<PyTime>() {
        clock(&mut text, time);
        time.get_tzinfo().is_some()
    } else {
        return Ok(date(object.cast::<PyDate>().map_err(PyErr::from)?));
    };
    if aware {
        let delta = object.call_method0(intern!(py, "utcoffset"))?;
        // A zone that gives none makes its datetime a naive one.
        if !delta.is_none() {
            let offset = offset(object, &delta)?;
            whole_minutes(object, offset)?;
            write_offset(&mut text, offset);
        }
    }
    Ok(text)
}

/// What to do where text is made of a point in time.
pub(crate) const OR_ROUND: &str =
    "give None where there is none, and round what is finer: moment.floor(\"us\")";

/// Refuses what derives from these types and holds more than they do: pandas' nanoseconds, and its NaT.
#[inline(always)]
pub(crate) fn exactly(object: &Bound<'_, PyAny>, hint: &str) -> Result<(), Box<Fault>> {
    if is_exact(object) { Ok(()) } else { derived(object, hint) }
}

#[cold]
#[inline(never)]
fn derived(object: &Bound<'_, PyAny>, hint: &str) -> Result<(), Box<Fault>> {
    let py = object.py();
    let temporal = object.is_instance_of::<PyDate>() || object.is_instance_of::<PyDelta>();
    if !temporal {
        return Ok(());
    }
    a_point(object, hint)?;
    for name in [intern!(py, "nanosecond"), intern!(py, "nanoseconds")] {
        if let Ok(rest) = object.getattr(name)
            && rest.ne(0)?
        {
            return Err(no_point(object, hint));
        }
    }
    Ok(())
}

/// Refuses pandas' NaT, which derives from datetime, has a year, and is not equal to itself.
pub(crate) fn a_point(object: &Bound<'_, PyAny>, hint: &str) -> Result<(), Box<Fault>> {
    match !is_exact(object) && object.ne(object)? {
        true => Err(no_point(object, hint)),
        false => Ok(()),
    }
}

#[cold]
fn no_point(object: &Bound<'_, PyAny>, hint: &str) -> Box<Fault> {
    let kind = object.get_type().name().map_or_else(|_| "datetime".into(), |n| n.to_string());
    let what = format!("a {kind} that is no point or span of time in microseconds");
    Fault::refused(what, kind, hint)
}

/// Whether an object that [`write`] took is of one of the types themselves.
pub(crate) fn is_exact(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyDateTime>()
        || object.is_exact_instance_of::<PyDate>()
        || object.is_exact_instance_of::<PyTime>()
        || object.is_exact_instance_of::<PyDelta>()
}

fn date(day: &impl PyDateAccess) -> String {
    format!("{:04}-{:02}-{:02}", day.get_year(), day.get_month(), day.get_day())
}

fn clock(text: &mut String, time: &impl PyTimeAccess) {
    let _ =
        write!(text, "{:02}:{:02}:{:02}", time.get_hour(), time.get_minute(), time.get_second());
    match time.get_microsecond() {
        0 => {}
        micros => {
            let _ = write!(text, ".{micros:06}");
        }
    }
}

/// Seconds of what `object` gave as an offset from UTC, or as a part of it; `None` is 0.
fn offset(object: &Bound<'_, PyAny>, delta: &Bound<'_, PyAny>) -> Result<i64, Box<Fault>> {
    if delta.is_none() {
        return Ok(0);
    }
    let delta = delta.cast::<PyDelta>().map_err(PyErr::from)?;
    if delta.get_microseconds() != 0 {
        return Err(odd_offset(object, "seconds"));
    }
    Ok(i64::from(delta.get_days()) * 86_400 + i64::from(delta.get_seconds()))
}

#[cold]
fn odd_offset(object: &Bound<'_, PyAny>, unit: &str) -> Box<Fault> {
    let what = format!("an offset from UTC that is not of whole {unit}");
    let kind = object.get_type().name().map_or_else(|_| "datetime".into(), |n| n.to_string());
    Fault::refused(what, kind, "convert it with astimezone(timezone.utc)")
}

/// RFC 3339 knows no offsets with seconds.
fn whole_minutes(object: &Bound<'_, PyAny>, offset: i64) -> Result<(), Box<Fault>> {
    if offset % 60 == 0 {
        return Ok(());
    }
    Err(odd_offset(object, "minutes"))
}

fn zulu_or_offset(text: &mut String, offset: i64) {
    if offset == 0 { text.push('Z') } else { write_offset(text, offset) }
}

fn write_offset(text: &mut String, offset: i64) {
    let (sign, n) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    let _ = write!(text, "{sign}{:02}:{:02}", n / 3600, n / 60 % 60);
    if n % 60 != 0 {
        let _ = write!(text, ":{:02}", n % 60);
    }
}

/// Hour, minute, second, microsecond.
type Clock = (u8, u8, u8, u32);

/// A day and what else a text says, read.
struct Parsed {
    day: (i32, u8, u8),
    time: Clock,
    /// Seconds from UTC.
    offset: Option<i32>,
}

/// Takes a fixed number of digits off the front.
fn digits(text: &mut &str, count: usize) -> Option<u32> {
    let (head, rest) = text.split_at_checked(count)?;
    *text = rest;
    head.bytes().all(|b| b.is_ascii_digit()).then(|| head.parse().ok()).flatten()
}

fn literal(text: &mut &str, allowed: &[char]) -> Option<()> {
    *text = text.strip_prefix(allowed)?;
    Some(())
}

fn parse_day(text: &mut &str) -> Option<(i32, u8, u8)> {
    let year = digits(text, 4)?;
    literal(text, &['-'])?;
    let month = digits(text, 2)?;
    literal(text, &['-'])?;
    Some((year as i32, month as u8, digits(text, 2)? as u8))
}

/// A time and an offset; more than six digits of a second are cut, a leap second is the next one.
fn parse_time(text: &mut &str) -> Option<(Clock, Option<i32>)> {
    let hour = digits(text, 2)?;
    literal(text, &[':'])?;
    let minute = digits(text, 2)?;
    literal(text, &[':'])?;
    let second = digits(text, 2)?;
    let mut micros = 0;
    if let Some(rest) = text.strip_prefix('.') {
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, rest) = rest.split_at(len);
        let six = format!("{fraction:0<6}");
        micros = if len == 0 { return None } else { six[..6].parse().ok()? };
        *text = rest;
    }
    let offset = match text.chars().next() {
        Some('Z' | 'z') => {
            literal(text, &['Z', 'z'])?;
            Some(0)
        }
        Some(sign @ ('+' | '-')) => {
            literal(text, &['+', '-'])?;
            let hours = digits(text, 2)?;
            literal(text, &[':'])?;
            let minutes = digits(text, 2)?;
            let seconds = match text.strip_prefix(':') {
                Some(rest) => {
                    *text = rest;
                    digits(text, 2)?
                }
                None => 0,
            };
            let n = (hours * 3600 + minutes * 60 + seconds) as i32;
            Some(if sign == '-' { -n } else { n })
        }
        _ => None,
    };
    Some(((hour as u8, minute as u8, second as u8, micros), offset))
}

fn parse(text: &mut &str) -> Option<Parsed> {
    let day = parse_day(text)?;
    literal(text, &['T', 't', ' '])?;
    let (time, offset) = parse_time(text)?;
    Some(Parsed { day, time, offset })
}

fn zone(py: Python<'_>, offset: i32) -> PyResult<Bound<'_, PyTzInfo>> {
    match offset {
        0 => PyTzInfo::utc(py).map(|utc| utc.to_owned()),
        seconds => PyTzInfo::fixed_offset(py, PyDelta::new(py, 0, seconds, 0, true)?),
    }
}

fn moment<'py>(
    py: Python<'py>,
    parsed: &Parsed,
    zone: Option<&Bound<'py, PyTzInfo>>,
    fold: bool,
) -> PyResult<Bound<'py, PyDateTime>> {
    let (year, month, day) = parsed.day;
    let (hour, minute, second, micros) = parsed.time;
    PyDateTime::new_with_fold(py, year, month, day, hour, minute, second, micros, zone, fold)
}

/// What a text says, for a tag; `None` if it says no such thing.
pub(crate) fn read<'py>(
    py: Python<'py>,
    number: u64,
    text: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut rest = text;
    let made = match number {
        tag::DATE => parse_day(&mut rest)
            .map(|(year, month, day)| PyDate::new(py, year, month, day).map(Bound::into_any)),
        tag::TIME => parse_time(&mut rest).map(|((hour, minute, second, micros), offset)| {
            let zone = offset.map(|offset| zone(py, offset)).transpose()?;
            PyTime::new(py, hour, minute, second, micros, zone.as_ref()).map(Bound::into_any)
        }),
        tag::NAIVE_DATETIME => parse(&mut rest)
            .filter(|parsed| parsed.offset.is_none())
            .map(|parsed| moment(py, &parsed, None, false).map(Bound::into_any)),
        _ => parse(&mut rest).and_then(|parsed| {
            let offset = parsed.offset?;
            Some(
                zone(py, offset)
                    .and_then(|zone| moment(py, &parsed, Some(&zone), false).map(Bound::into_any)),
            )
        }),
    };
    match made {
        Some(made) if rest.is_empty() => in_range(py, made),
        _ => Ok(None),
    }
}

/// A moment in a named zone; where the clock shows an hour twice, the offset says which it is.
pub(crate) fn read_zoned<'py>(py: Python<'py>, text: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mut rest = text;
    let Some(parsed) = parse(&mut rest) else { return Ok(None) };
    let name = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (Some(name), Some(offset)) = (name, parsed.offset) else { return Ok(None) };
    let make = || {
        let zone = Types::get(py)?.zone_info.bind(py).call1((name,))?.cast_into::<PyTzInfo>()?;
        for fold in [false, true] {
            let moment = moment(py, &parsed, Some(&zone), fold)?;
            let delta = moment.call_method0(intern!(py, "utcoffset"))?;
            if self::offset(&moment, &delta).is_ok_and(|there| there == i64::from(offset)) {
                return Ok(moment.into_any());
            }
        }
        Err(PyValueError::new_err("another offset"))
    };
    match make() {
        Ok(moment) => Ok(Some(moment)),
        // A zone that is not known here, or whose rules are others: the offset still holds.
        Err(_) => {
            let lost = format!(
                "the zone {name} is not known here, or has other rules: {text} keeps its offset only; install tzdata"
            );
            warn_lossy(py, &lost)?;
            in_range(py, moment(py, &parsed, Some(&zone(py, offset)?), false).map(Bound::into_any))
        }
    }
}

/// `None` for what Python's types have no room for.
fn in_range<'py>(
    py: Python<'py>,
    made: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(e) if e.is_instance_of::<PyValueError>(py) => Ok(None),
        Err(e) if e.is_instance_of::<PyOverflowError>(py) => Ok(None),
        Err(e) if e.is_instance_of::<PyOSError>(py) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A point in time from seconds since 1970 in UTC; `None` for what is no such number.
pub(crate) fn from_epoch<'py>(seconds: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = seconds.py();
    let number = seconds.extract::<f64>().ok().filter(|_| !seconds.is_instance_of::<PyBool>());
    let Some(seconds) = number else { return Ok(None) };
    let utc = PyTzInfo::utc(py)?;
    in_range(py, PyDateTime::from_timestamp(py, seconds, Some(&utc)).map(Bound::into_any))
}

/// A date from days since 1970-01-01; `None` for what is no such number.
pub(crate) fn from_days<'py>(days: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = days.py();
    let number = days.extract::<i64>().ok().filter(|_| !days.is_instance_of::<PyBool>());
    let Some(days) = number else { return Ok(None) };
    // The ordinal of 1970-01-01 is 719163.
    let ordinal = days.saturating_add(719_163);
    let date = py.get_type::<PyDate>();
    in_range(py, date.call_method1(intern!(py, "fromordinal"), (ordinal,)))
}
