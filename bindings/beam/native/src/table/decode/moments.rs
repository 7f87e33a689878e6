//! Dates, times and lengths of time.

use super::{Array, Bad, Out, Stop, Walk};
use crate::atoms;
use crate::table::names as n;
use crate::value::calendar::{self, Date, Time};
use crate::value::decode::notes;
use crate::value::terms::{self, Word};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use rustler::Atom;
use std::ops::Range;

/// Steps of a unit in a second, and the digits of a second that it tells.
fn steps(unit: TimeUnit) -> (i64, i64) {
    match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 6),
    }
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
const BEYOND: &str = "take it as an integer, from the column's data";

impl<'a> Walk<'a> {
    pub(super) fn moments(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        use DataType::*;
        match &array.data_type {
            Date32 => self.fixed::<4>(array, rows, out, |walk, bytes| {
                walk.day(i32::from_le_bytes(bytes).into())
            }),
            Date64 => self.fixed::<8>(array, rows, out, |walk, bytes| {
                let milliseconds = i64::from_le_bytes(bytes);
                if milliseconds.rem_euclid(DAY) != 0 {
                    return Err(Bad(format!("a date of {milliseconds} ms, no whole days"), BEYOND));
                }
                walk.day(milliseconds.div_euclid(DAY))
            }),
            Time32(unit) => self.fixed::<4>(array, rows, out, |walk, bytes| {
                walk.time_of_day(i32::from_le_bytes(bytes).into(), *unit)
            }),
            Time64(unit) => self.fixed::<8>(array, rows, out, |walk, bytes| {
                walk.time_of_day(i64::from_le_bytes(bytes), *unit)
            }),
            Timestamp(unit, zone) => {
                let offset = zone.as_deref().map(|zone| zone_of(zone).unwrap_or(Zone::Utc));
                self.fixed::<8>(array, rows, out, |walk, bytes| {
                    walk.timestamp(i64::from_le_bytes(bytes), *unit, offset.as_ref())
                })
            }
            Duration(unit) => self.fixed::<8>(array, rows, out, |walk, bytes| {
                walk.duration(i64::from_le_bytes(bytes), *unit)
            }),
            Interval(IntervalUnit::YearMonth) => {
                self.fixed::<4>(array, rows, out, |walk, bytes| {
                    walk.interval(&[(n::months(), i32::from_le_bytes(bytes).into())])
                })
            }
            Interval(IntervalUnit::DayTime) => self.fixed::<8>(array, rows, out, |walk, bytes| {
                let both = i64::from_le_bytes(bytes);
                let (days, milliseconds) = (both as i32, (both >> 32) as i32);
                walk.interval(&[(n::days(), days.into()), (n::milliseconds(), milliseconds.into())])
            }),
            _ => self.fixed::<16>(array, rows, out, |walk, bytes| {
                let all = i128::from_le_bytes(bytes);
                let (months, days) = (all as i32, (all >> 32) as i32);
                walk.interval(&[
                    (n::months(), months.into()),
                    (n::days(), days.into()),
                    (n::nanoseconds(), (all >> 64) as i64),
                ])
            }),
        }
    }

    fn made(&self, keys: &[Atom], values: &[Word<'a>]) -> Result<Word<'a>, Bad> {
        let keys: Vec<Word<'a>> = keys.iter().map(|&key| key.into()).collect();
        terms::make_map(self.env, &keys, values).ok_or_else(|| Bad::new("a struct of no fields"))
    }

    fn int(&self, value: impl Into<i64>) -> Word<'a> {
        terms::make_int(self.env, value.into())
    }

    fn day(&mut self, days: i64) -> Result<Word<'a>, Bad> {
        let date = Date::from_days(days)
            .ok_or_else(|| Bad(format!("a date {days} days from 1970, beyond Elixir's"), BEYOND))?;
        let keys = [atoms::struct_(), n::calendar(), n::year(), n::month(), n::day()];
        let [year, month, day] = [self.int(date.year), self.int(date.month), self.int(date.day)];
        self.made(&keys, &[n::date_module().into(), n::iso().into(), year, month, day])
    }

    fn microsecond(&self, time: &Time) -> Word<'a> {
        terms::make_tuple(self.env, &[self.int(time.microsecond), self.int(time.precision)])
    }

    fn time_of_day(&mut self, steps_of_day: i64, unit: TimeUnit) -> Result<Word<'a>, Bad> {
        let beyond = || Bad(format!("a time of day of {steps_of_day} steps"), BEYOND);
        let time = match self.split(steps_of_day.into(), unit) {
            Some((date, time)) if date.to_days() == 0 => time,
            _ => return Err(beyond()),
        };
        let keys = [
            atoms::struct_(),
            n::calendar(),
            n::hour(),
            n::minute(),
            n::second(),
            n::microsecond(),
        ];
        let [hour, minute, second] =
            [self.int(time.hour), self.int(time.minute), self.int(time.second)];
        let microsecond = self.microsecond(&time);
        self.made(
            &keys,
            &[n::time_module().into(), n::iso().into(), hour, minute, second, microsecond],
        )
    }

    /// Day and time so many steps after 1970.
    fn split(&mut self, count: i128, unit: TimeUnit) -> Option<(Date, Time)> {
        let (per_second, precision) = steps(unit);
        let microseconds = match unit {
            TimeUnit::Nanosecond => {
                if count.rem_euclid(1_000) != 0 {
                    self.notes |= notes::SECOND;
                }
                count.div_euclid(1_000)
            }
            _ => count * i128::from(1_000_000 / per_second),
        };
        calendar::from_epoch(microseconds, precision)
    }

    fn timestamp(
        &mut self,
        count: i64,
        unit: TimeUnit,
        zone: Option<&Zone>,
    ) -> Result<Word<'a>, Bad> {
        let shift = match zone {
            Some(Zone::Offset(seconds, _)) => i128::from(*seconds) * i128::from(steps(unit).0),
            _ => 0,
        };
        let (date, time) = self.split(i128::from(count) + shift, unit).ok_or_else(|| {
            Bad(format!("a time {count} steps from 1970, beyond Elixir's"), BEYOND)
        })?;
        let of_day = [
            self.int(date.year),
            self.int(date.month),
            self.int(date.day),
            self.int(time.hour),
            self.int(time.minute),
            self.int(time.second),
            self.microsecond(&time),
        ];
        let keys = [
            n::year(),
            n::month(),
            n::day(),
            n::hour(),
            n::minute(),
            n::second(),
            n::microsecond(),
        ];
        let (mut names, mut values) = (keys.to_vec(), of_day.to_vec());
        names.extend([atoms::struct_(), n::calendar()]);
        let Some(zone) = zone else {
            values.extend([Word::from(n::naive_module()), n::iso().into()]);
            return self.made(&names, &values);
        };
        values.extend([Word::from(n::datetime_module()), n::iso().into()]);
        names.extend([n::utc_offset(), n::std_offset(), n::time_zone(), n::zone_abbr()]);
        let (offset, zone, abbreviation) = match zone {
            Zone::Utc => (0, "Etc/UTC", "UTC"),
            Zone::Offset(seconds, name) => (*seconds, &**name, &**name),
        };
        values.extend([
            self.int(offset),
            self.int(0),
            terms::make_binary(self.env, zone.as_bytes()),
            terms::make_binary(self.env, abbreviation.as_bytes()),
        ]);
        self.made(&names, &values)
    }

    fn duration(&mut self, count: i64, unit: TimeUnit) -> Result<Word<'a>, Bad> {
        let (per_second, _) = steps(unit);
        let (seconds, rest) = (count.div_euclid(per_second), count.rem_euclid(per_second));
        let microseconds = match unit {
            TimeUnit::Nanosecond => {
                if rest % 1_000 != 0 {
                    self.notes |= notes::SECOND;
                }
                rest / 1_000
            }
            _ => rest * (1_000_000 / per_second),
        };
        let keys = [atoms::struct_(), n::seconds(), n::microseconds()];
        let (seconds, microseconds) = (self.int(seconds), self.int(microseconds));
        self.made(&keys, &[n::duration_module().into(), seconds, microseconds])
    }

    fn interval(&mut self, parts: &[(Atom, i64)]) -> Result<Word<'a>, Bad> {
        let keys: Vec<Atom> = parts.iter().map(|&(key, _)| key).collect();
        let values: Vec<Word<'a>> = parts.iter().map(|&(_, value)| self.int(value)).collect();
        self.made(&keys, &values)
    }
}

/// What is known of a zone without its rules. Of others the moment is told in UTC.
pub(crate) enum Zone {
    Utc,
    /// Seconds east of it, and how that is written.
    Offset(i32, String),
}

/// The zone of a name that is an offset, or UTC.
pub(crate) fn zone_of(name: &str) -> Option<Zone> {
    if matches!(name, "UTC" | "utc" | "Etc/UTC" | "Z" | "GMT") {
        return Some(Zone::Utc);
    }
    let (sign, rest) = match name.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|&c| c != ':').collect();
    if !digits.is_ascii() || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let hours = hours.parse().ok().filter(|&hours: &i32| hours < 24)?;
    let minutes = match minutes {
        "" => 0,
        minutes => minutes.parse().ok().filter(|&minutes: &i32| minutes < 60)?,
    };
    let seconds = sign * (hours * 3600 + minutes * 60);
    if seconds == 0 {
        return Some(Zone::Utc);
    }
    let mut written = String::new();
    calendar::write_offset(&mut written, seconds);
    Some(Zone::Offset(seconds, written))
}
