//! Dates, times and durations as numbers of steps.

use crate::atoms;
use crate::table::names as n;
use crate::value::calendar::{Date, Time};
use crate::value::names;
use crate::value::terms::{self, Word};
use arrow_schema::{DataType, TimeUnit};
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
                return None;
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
