//! Dates, times and durations as numbers of steps.

use crate::atoms;
use crate::table::names as n;
use crate::value::calendar::{Date, Time};
use crate::value::names;
use crate::value::terms::{self, Pairs, Word};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use rustler::{Atom, Env};

const DAY_MS: i64 = 86_400_000;

/// The struct of an element, and what stands in its fields.
struct Fields<'a> {
    env: Env<'a>,
    map: Word<'a>,
}

impl<'a> Fields<'a> {
    fn get(&self, name: Atom) -> Option<Word<'a>> {
        terms::get(self.env, self.map, name.into())
    }

    fn int(&self, name: Atom) -> Option<i64> {
        terms::int(self.env, self.get(name)?)
    }

    fn is(&self, module: Atom) -> bool {
        self.get(atoms::struct_()) == Some(module.into())
    }

    fn iso(&self) -> Option<()> {
        (self.get(n::calendar())? == names::all().iso.into()).then_some(())
    }

    fn date(&self) -> Option<Date> {
        self.iso()?;
        Date::new(self.int(n::year())?, self.int(n::month())?, self.int(n::day())?)
    }

    fn time(&self) -> Option<Time> {
        self.iso()?;
        let &[microsecond, precision] = terms::tuple(self.env, self.get(n::microsecond())?)? else {
            return None;
        };
        Time::new(
            self.int(n::hour())?,
            self.int(n::minute())?,
            self.int(n::second())?,
            terms::int(self.env, microsecond)?,
            terms::int(self.env, precision)?,
        )
    }
}

/// The digits of a second that a time is told with.
pub(super) fn precision<'a>(env: Env<'a>, map: Word<'a>) -> Option<u8> {
    Fields { env, map }.time().map(|time| time.precision)
}

/// Microseconds of a day.
fn of_day(time: &Time) -> i64 {
    let seconds =
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second);
    seconds * 1_000_000 + i64::from(time.microsecond)
}

/// Microseconds in steps of a unit, where that is exact.
fn in_steps(microseconds: i128, unit: TimeUnit) -> Option<i64> {
    let exact = |step: i128| (microseconds % step == 0).then(|| microseconds / step);
    i64::try_from(match unit {
        TimeUnit::Second => exact(1_000_000)?,
        TimeUnit::Millisecond => exact(1_000)?,
        TimeUnit::Microsecond => microseconds,
        TimeUnit::Nanosecond => microseconds * 1_000,
    })
    .ok()
}

/// The element of a type that a struct stands for.
pub(super) fn count<'a>(env: Env<'a>, map: Word<'a>, data_type: &DataType) -> Option<i64> {
    use DataType::*;
    let fields = Fields { env, map };
    let all = names::all();
    match data_type {
        Date32 | Date64 => {
            let days = if fields.is(all.date) { fields.date()?.to_days() } else { return None };
            Some(if *data_type == Date64 { days * DAY_MS } else { days })
        }
        Time32(unit) | Time64(unit) if fields.is(all.time) => {
            in_steps(of_day(&fields.time()?).into(), *unit)
        }
        Timestamp(unit, zone) => {
            let fits = if zone.is_some() { all.datetime } else { all.naive };
            if !fields.is(fits) {
                // A day is its midnight, as the rules of schemas have it.
                let is_day = zone.is_none() && fields.is(all.date);
                let days = is_day.then(|| fields.date())?;
                return in_steps(i128::from(days?.to_days()) * 86_400_000_000, *unit);
            }
            let mut microseconds = i128::from(fields.date()?.to_days()) * 86_400_000_000;
            microseconds += i128::from(of_day(&fields.time()?));
            if zone.is_some() {
                let east =
                    fields.int(n::utc_offset())?.checked_add(fields.int(n::std_offset())?)?;
                microseconds -= i128::from(east) * 1_000_000;
            }
            in_steps(microseconds, *unit)
        }
        Duration(unit) if fields.is(all.own_duration) => {
            let seconds = i128::from(fields.int(n::seconds())?) * 1_000_000;
            in_steps(seconds + i128::from(fields.int(n::microseconds())?), *unit)
        }
        _ => None,
    }
}

/// Whether a struct that is no element of a type is one of its kind, so that its unit is in the way.
pub(super) fn is_beyond<'a>(env: Env<'a>, map: Word<'a>, data_type: &DataType) -> bool {
    use DataType::*;
    let fields = Fields { env, map };
    let all = names::all();
    match data_type {
        Time32(_) | Time64(_) => fields.is(all.time) && fields.time().is_some(),
        Timestamp(_, zone) => {
            let fits = if zone.is_some() { all.datetime } else { all.naive };
            fields.is(fits) && fields.date().is_some() && fields.time().is_some()
        }
        Duration(_) => fields.is(all.own_duration),
        _ => false,
    }
}

/// Whether it is a day.
pub(super) fn is_date<'a>(env: Env<'a>, map: Word<'a>) -> bool {
    Fields { env, map }.is(names::all().date)
}

/// The parts of an interval, for errors.
pub(super) fn parts_told(unit: IntervalUnit) -> &'static str {
    match unit {
        IntervalUnit::YearMonth => ": it is %{months: n}, a number of 32 bits",
        IntervalUnit::DayTime => ": it is %{days: n, milliseconds: n}, numbers of 32 bits",
        IntervalUnit::MonthDayNano => {
            ": it is %{months: n, days: n, nanoseconds: n}, numbers of 32, 32 and 64 bits"
        }
    }
}

/// An interval as its bits: a map of its parts, all of them.
pub(super) fn interval<'a>(env: Env<'a>, map: Word<'a>, unit: IntervalUnit) -> Option<i128> {
    let parts: &[(Atom, u32)] = match unit {
        IntervalUnit::YearMonth => &[(n::months(), 32)],
        IntervalUnit::DayTime => &[(n::days(), 32), (n::milliseconds(), 32)],
        IntervalUnit::MonthDayNano => &[(n::months(), 32), (n::days(), 32), (n::nanoseconds(), 64)],
    };
    let (mut bits, mut shift) = (0, 0);
    for &(name, width) in parts {
        let text = |name: &str| terms::get(env, map, terms::make_binary(env, name.as_bytes()));
        let part = terms::get(env, map, name.into())
            .or_else(|| terms::with_atom(env, name.into(), text))?;
        let part = terms::int(env, part)?;
        if width == 32 {
            i32::try_from(part).ok()?;
        }
        bits |= (part as i128 & ((1 << width) - 1)) << shift;
        shift += width;
    }
    (Pairs::new(env, map)?.count() == parts.len()).then_some(bits)
}
