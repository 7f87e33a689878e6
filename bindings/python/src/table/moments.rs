//! Dates, times and lengths of time as the counts that columns hold, and back, for Python's own types.

use arrow_schema::TimeUnit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    IntoPyDict, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess,
    PyTzInfo, PyTzInfoAccess,
};
use slipring_codec::infer::Scalar;

const SECOND: i64 = 1_000_000;
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// Days of 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
/// The first day of Python's calendar, 0001-01-01, and the last one.
pub(crate) const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// Days from 1970-01-01 to a day of Python's. Years begin in March here, so that a leap day is their last.
pub(crate) fn days(day: &impl PyDateAccess) -> i64 {
    let (year, month) = (i64::from(day.get_year()), i64::from(day.get_month()));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day.get_day()) - 1;
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

/// The day that is so many after 1970-01-01, if Python has it.
fn day(days: i64) -> Option<(i32, u8, u8)> {
    if !DAYS.contains(&days) {
        return None;
    }
    let (era, of_era) = ((days + EPOCH).div_euclid(ERA), (days + EPOCH).rem_euclid(ERA));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    Some((year as i32, month as u8, of_month as u8))
}

/// Microseconds from midnight.
pub(crate) fn of_day(time: &impl PyTimeAccess) -> i64 {
    let seconds = i64::from(time.get_hour()) * 3600
        + i64::from(time.get_minute()) * 60
        + i64::from(time.get_second());
    seconds * SECOND + i64::from(time.get_microsecond())
}

/// The zone's offset in minutes, where it is nothing but that.
fn east(zone: &Bound<'_, PyTzInfo>) -> Option<i16> {
    let py = zone.py();
    let utc = PyTzInfo::utc(py).ok()?;
    if zone.is(&*utc) {
        return Some(0);
    }
    if !zone.get_type().is(utc.get_type()) {
        return None;
    }
    // The arguments that would make it again: an offset, and a name if it was given one.
    let arguments = zone.call_method0(intern!(py, "__getinitargs__")).ok()?;
    let (delta,): (Bound<'_, PyDelta>,) = arguments.extract().ok()?;
    let seconds = i64::from(delta.get_days()) * 86_400 + i64::from(delta.get_seconds());
    let whole = seconds % 60 == 0 && delta.get_microseconds() == 0;
    i16::try_from(seconds / 60).ok().filter(|_| whole)
}

/// A point in time as one in UTC, whatever tells its zone; a time without one as the first of two that are told alike.
pub(super) fn plain<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let zone = match (object.cast_exact::<PyDateTime>(), object.cast_exact::<PyTime>()) {
        (Ok(moment), _) => moment.get_tzinfo(),
        (_, Ok(time)) if time.get_tzinfo().is_none() => None,
        _ => return None,
    };
    let py = object.py();
    let first = |told: &Bound<'py, PyAny>| {
        let options = [("fold", 0)].into_py_dict(py).ok()?;
        told.call_method(intern!(py, "replace"), (), Some(&options)).ok()
    };
    if zone.is_none() {
        return first(object);
    }
    // One in UTC is given as it is, with the fold that means nothing there.
    first(&object.call_method1(intern!(py, "astimezone"), (&*PyTzInfo::utc(py).ok()?,)).ok()?)
}

/// What derives from the standard library's date, time, datetime or timedelta as one of these, such as pandas' moments; pandas' NaT as
/// None. `None` of anything else, and of what is finer than microseconds.
pub(super) fn standard<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    parts(object).filter(|(_, nanos)| *nanos == 0).map(|(standard, _)| standard)
}

/// The same, and the nanoseconds that it has no room for.
fn parts<'py>(object: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyAny>, u16)> {
    let py = object.py();
    let (date, delta) = (object.cast::<PyDate>(), object.cast::<PyDelta>());
    if let Ok(time) = object.cast::<PyTime>() {
        let (hour, minute, second) = (time.get_hour(), time.get_minute(), time.get_second());
        let (rest, zone, fold) = (time.get_microsecond(), time.get_tzinfo(), time.get_fold());
        let made = PyTime::new_with_fold(py, hour, minute, second, rest, zone.as_ref(), fold);
        return Some((made.ok()?.into_any(), 0));
    }
    if date.is_err() && delta.is_err() {
        return None;
    }
    if object.ne(object).ok()? {
        return Some((py.None().into_bound(py), 0));
    }
    let mut nanos = 0;
    for name in [intern!(py, "nanosecond"), intern!(py, "nanoseconds")] {
        if let Ok(finer) = object.getattr(name) {
            nanos += finer.extract().ok().filter(|finer| (0..1_000u16).contains(finer))?;
        }
    }
    if let Ok(delta) = delta {
        let (days, seconds, rest) =
            (delta.get_days(), delta.get_seconds(), delta.get_microseconds());
        return Some((PyDelta::new(py, days, seconds, rest, false).ok()?.into_any(), nanos));
    }
    let date = date.ok()?;
    let (year, month, day) = (date.get_year(), date.get_month(), date.get_day());
    let Ok(moment) = object.cast::<PyDateTime>() else {
        return Some((PyDate::new(py, year, month, day).ok()?.into_any(), nanos));
    };
    let (hour, minute, second) = (moment.get_hour(), moment.get_minute(), moment.get_second());
    let (rest, zone, fold) = (moment.get_microsecond(), moment.get_tzinfo(), moment.get_fold());
    let zone = zone.as_ref();
    let made =
        PyDateTime::new_with_fold(py, year, month, day, hour, minute, second, rest, zone, fold);
    Some((made.ok()?.into_any(), nanos))
}

/// A time to the nanosecond, which none is too far away for.
pub(super) enum Moment {
    /// From 1970, without a zone.
    Naive(i128),
    /// From 1970 in UTC.
    InUtc(i128),
    /// A length of time.
    Span(i128),
}

impl Moment {
    pub(super) fn nanos(&self) -> i128 {
        let (Moment::Naive(nanos) | Moment::InUtc(nanos) | Moment::Span(nanos)) = self;
        *nanos
    }
}

/// A date and time or a length of time, of the standard library's, of pandas' or of NumPy's; `None` of anything else.
pub(super) fn fine(object: &Bound<'_, PyAny>) -> Option<Moment> {
    let py = object.py();
    if let Ok(dtype) = object.getattr(intern!(py, "dtype")) {
        return counted(object, &dtype);
    }
    let (standard, rest) = parts(object)?;
    let nanos = |micros: i128| micros * 1_000 + i128::from(rest);
    if let Ok(delta) = standard.cast::<PyDelta>() {
        let seconds = i64::from(delta.get_days()) * 86_400 + i64::from(delta.get_seconds());
        let micros = i128::from(seconds) * i128::from(SECOND);
        return Some(Moment::Span(nanos(micros + i128::from(delta.get_microseconds()))));
    }
    match scalar(&plain(&standard)?)? {
        Scalar::Naive(micros) => Some(Moment::Naive(nanos(micros.into()))),
        Scalar::Moment { micros, .. } => Some(Moment::InUtc(nanos(micros.into()))),
        _ => None,
    }
}

/// A time of NumPy's, by its count of whatever its dtype says.
fn counted(object: &Bound<'_, PyAny>, dtype: &Bound<'_, PyAny>) -> Option<Moment> {
    let py = object.py();
    let dtype: String = dtype.getattr(intern!(py, "str")).ok()?.extract().ok()?;
    let (kind, unit) = dtype.trim_start_matches(['<', '>', '=']).split_once("8[")?;
    let step: i128 = match unit.strip_suffix(']')? {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "D" => 86_400_000_000_000,
        "W" => 604_800_000_000_000,
        _ => return None,
    };
    let count = object.call_method1(intern!(py, "astype"), (intern!(py, "i8"),)).ok()?;
    let nanos = i128::from(count.extract::<i64>().ok()?) * step;
    match kind {
        "M" => Some(Moment::Naive(nanos)),
        "m" => Some(Moment::Span(nanos)),
        _ => None,
    }
}

/// What comes back as the same: of the types themselves, and with nothing that columns have no place for.
pub(super) fn scalar(object: &Bound<'_, PyAny>) -> Option<Scalar<'static>> {
    if let Ok(moment) = object.cast_exact::<PyDateTime>() {
        if moment.get_fold() {
            return None;
        }
        let micros = days(moment) * DAY + of_day(moment);
        return Some(match moment.get_tzinfo() {
            None => Scalar::Naive(micros),
            Some(zone) => {
                let east = east(&zone)?;
                Scalar::Moment { micros: micros - i64::from(east) * 60 * SECOND, east }
            }
        });
    }
    if let Ok(date) = object.cast_exact::<PyDate>() {
        return Some(Scalar::Date(days(date) as i32));
    }
    if let Ok(time) = object.cast_exact::<PyTime>() {
        let plain = time.get_tzinfo().is_none() && !time.get_fold();
        return plain.then(|| Scalar::Time(of_day(time)));
    }
    let delta = object.cast_exact::<PyDelta>().ok()?;
    let seconds = i64::from(delta.get_days()) * 86_400 + i64::from(delta.get_seconds());
    let micros = seconds.checked_mul(SECOND)?.checked_add(delta.get_microseconds().into())?;
    Some(Scalar::Duration(micros))
}

/// Microseconds, where they are whole and not too many.
fn micros(count: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => count.checked_mul(SECOND),
        TimeUnit::Millisecond => count.checked_mul(1_000),
        TimeUnit::Microsecond => Some(count),
        TimeUnit::Nanosecond => (count % 1_000 == 0).then_some(count / 1_000),
    }
}

/// A date so many days from 1970-01-01, if Python has it.
pub(super) fn date(py: Python<'_>, days: i64) -> Option<PyResult<Bound<'_, PyAny>>> {
    let (year, month, day) = day(days)?;
    Some(PyDate::new(py, year, month, day).map(Bound::into_any))
}

/// Hour, minute, second and microsecond of a day.
fn clock(micros: i64) -> (u8, u8, u8, u32) {
    let seconds = micros / SECOND;
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    (hour as u8, minute as u8, (seconds % 60) as u8, (micros % SECOND) as u32)
}

/// A time of day, if it is one.
pub(super) fn time(
    py: Python<'_>,
    count: i64,
    unit: TimeUnit,
) -> Option<PyResult<Bound<'_, PyAny>>> {
    let micros = micros(count, unit).filter(|micros| (0..DAY).contains(micros))?;
    let (hour, minute, second, micros) = clock(micros);
    Some(PyTime::new(py, hour, minute, second, micros, None).map(Bound::into_any))
}

/// The offset in minutes that the name of a zone is, of those that [`scalar`] takes.
pub(super) fn named(zone: &str) -> Option<i16> {
    if zone == "UTC" {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = |text: &str| -> Option<i16> {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// A zone that is so many minutes from UTC.
pub(super) fn zone(py: Python<'_>, east: i16) -> PyResult<Bound<'_, PyTzInfo>> {
    match east {
        0 => PyTzInfo::utc(py).map(|utc| utc.to_owned()),
        east => PyTzInfo::fixed_offset(py, PyDelta::new(py, 0, i32::from(east) * 60, 0, true)?),
    }
}

/// A date and time, told with an offset of so many minutes if there is a zone, and if Python has it.
pub(super) fn timestamp<'py>(
    py: Python<'py>,
    count: i64,
    unit: TimeUnit,
    zone: Option<(i16, &Bound<'py, PyTzInfo>)>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let east = zone.map_or(0, |(east, _)| i64::from(east));
    let local = micros(count, unit)?.checked_add(east * 60 * SECOND)?;
    let (year, month, day) = day(local.div_euclid(DAY))?;
    let (hour, minute, second, micros) = clock(local.rem_euclid(DAY));
    let zone = zone.map(|(_, zone)| zone);
    let made = PyDateTime::new(py, year, month, day, hour, minute, second, micros, zone);
    Some(made.map(Bound::into_any))
}

/// A length of time, if Python has it.
pub(super) fn duration(
    py: Python<'_>,
    count: i64,
    unit: TimeUnit,
) -> Option<PyResult<Bound<'_, PyAny>>> {
    let micros = micros(count, unit)?;
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let days = i32::try_from(days).ok()?;
    let (seconds, micros) = ((rest / SECOND) as i32, (rest % SECOND) as i32);
    Some(PyDelta::new(py, days, seconds, micros, false).map(Bound::into_any))
}
