//! Dates and times as text (RFC 3339, with what RFC 9557 adds for zones), and days as numbers.
//!
//! Elixir's calendar is the proleptic Gregorian one, its years are -9999 to 9999, and a second is one of
//! 0 to 59. Years that have not four digits are written with their sign, as Elixir writes them.

use std::fmt::{self, Write};

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i32,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

/// A time of day: a fraction is microseconds, and how many digits of them are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) microsecond: u32,
    pub(crate) precision: u8,
}

/// What a text of a time ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offset<'a> {
    None,
    Utc,
    /// Seconds east of UTC, as they were written.
    Seconds(i32, &'a str),
}

/// A text that was read, and whether digits of its second found no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment<'a> {
    pub(crate) date: Date,
    pub(crate) time: Time,
    pub(crate) offset: Offset<'a>,
    /// The name in brackets.
    pub(crate) zone: Option<&'a str>,
    pub(crate) cut: bool,
}

const DAYS: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const YEARS: std::ops::RangeInclusive<i32> = -9999..=9999;

impl Date {
    pub(crate) fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let year = i32::try_from(year).ok().filter(|year| YEARS.contains(year))?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let longest = *DAYS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
        let longest = longest + u8::from(leap && month == 2);
        let day = u8::try_from(day).ok().filter(|&day| day >= 1 && day <= longest)?;
        Some(Date { year, month: month as u8, day })
    }

    /// Whether its year has four digits.
    pub(crate) fn is_plain(&self) -> bool {
        self.year >= 0
    }

    /// Days since 1970-01-01.
    pub(crate) fn to_days(self) -> i64 {
        // Years begin with March, so that a leap day is the last one; eras are 400 years.
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let month = (i64::from(self.month) + 9) % 12;
        let of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    pub(crate) fn from_days(days: i64) -> Option<Self> {
        let days = days.checked_add(719_468)?;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Date::new(year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{:02}-{:02}", self.year.unsigned_abs(), self.month, self.day)
    }
}

impl Time {
    pub(crate) fn new(
        hour: i64,
        minute: i64,
        second: i64,
        microsecond: i64,
        precision: i64,
    ) -> Option<Self> {
        let below = |n: i64, limit: u8| u8::try_from(n).ok().filter(|&n| n < limit);
        Some(Time {
            hour: below(hour, 24)?,
            minute: below(minute, 60)?,
            second: below(second, 60)?,
            microsecond: u32::try_from(microsecond).ok().filter(|&us| us < 1_000_000)?,
            precision: below(precision, 7)?,
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        match usize::from(self.precision) {
            0 => Ok(()),
            precision => {
                let digits = self.microsecond / 10u32.pow(6 - precision as u32);
                write!(f, ".{digits:0precision$}")
            }
        }
    }
}

/// An offset as it is written: with seconds only where there are some.
pub(crate) fn write_offset(out: &mut String, seconds: i32) {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a string does not fail.
    let _ = write!(out, "{sign}{hours:02}:{minutes:02}");
    if rest != 0 {
        let _ = write!(out, ":{rest:02}");
    }
}

/// A cursor over a text.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let found = self.0.chars().next().filter(|c| wanted.contains(c))?;
        self.0 = &self.0[found.len_utf8()..];
        Some(found)
    }

    /// So many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let text = self.0.get(..digits).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        self.0 = &self.0[digits..];
        text.parse().ok()
    }

    fn date(&mut self) -> Option<Date> {
        let sign = if self.take(&['-']).is_some() { -1 } else { 1 };
        let year = sign * self.number(4)?;
        self.take(&['-'])?;
        let month = self.number(2)?;
        self.take(&['-'])?;
        Date::new(year, month, self.number(2)?)
    }

    /// A time, and whether digits beyond the sixth that are not 0 were cut.
    fn time(&mut self) -> Option<(Time, bool)> {
        let hour = self.number(2)?;
        self.take(&[':'])?;
        let minute = self.number(2)?;
        self.take(&[':'])?;
        let second = self.number(2)?;
        let (mut microsecond, mut precision, mut cut) = (0, 0, false);
        if self.take(&['.', ',']).is_some() {
            let len = self.0.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = self.0.split_at(len);
            self.0 = rest;
            precision = len.min(6);
            cut = digits[precision..].bytes().any(|digit| digit != b'0');
            microsecond =
                digits[..precision].parse::<i64>().ok()? * 10i64.pow(6 - precision as u32);
        }
        let time = Time::new(hour, minute, second, microsecond, precision as i64)?;
        Some((time, cut))
    }

    fn offset(&mut self) -> Option<Offset<'a>> {
        if self.take(&['Z', 'z']).is_some() {
            return Some(Offset::Utc);
        }
        let text = self.0;
        let Some(sign) = self.take(&['+', '-']) else { return Some(Offset::None) };
        let hours = self.number(2).filter(|&hours| hours < 24)?;
        self.take(&[':'])?;
        let minutes = self.number(2).filter(|&minutes| minutes < 60)?;
        let mut seconds = 0;
        if self.take(&[':']).is_some() {
            seconds = self.number(2).filter(|&seconds| seconds < 60)?;
        }
        let seconds = (hours * 3600 + minutes * 60 + seconds) as i32;
        let text = &text[..text.len() - self.0.len()];
        Some(Offset::Seconds(if sign == '-' { -seconds } else { seconds }, text))
    }
}

pub(crate) fn date(text: &str) -> Option<Date> {
    let mut text = Text(text);
    text.date().filter(|_| text.0.is_empty())
}

/// A time of day, its offset, and whether digits were cut.
pub(crate) fn time(text: &str) -> Option<(Time, Offset<'_>, bool)> {
    let mut text = Text(text);
    let (time, cut) = text.time()?;
    let offset = text.offset()?;
    text.0.is_empty().then_some((time, offset, cut))
}

pub(crate) fn moment(text: &str) -> Option<Moment<'_>> {
    let mut text = Text(text);
    let date = text.date()?;
    text.take(&['T', 't', ' '])?;
    let (time, cut) = text.time()?;
    let offset = text.offset()?;
    let zone = match text.0 {
        "" => None,
        rest => Some(rest.strip_prefix('[')?.strip_suffix(']').filter(|zone| is_zone(zone))?),
    };
    Some(Moment { date, time, offset, zone, cut })
}

/// Whether it can stand in brackets: a name of the zone database (`Europe/Berlin`) or like one.
pub(crate) fn is_zone(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'[' | b']'))
}

/// The moment so many microseconds after 1970 in UTC.
pub(crate) fn from_epoch(microseconds: i128, precision: i64) -> Option<(Date, Time)> {
    const DAY: i128 = 86_400_000_000;
    let date = Date::from_days(i64::try_from(microseconds.div_euclid(DAY)).ok()?)?;
    let of_day = microseconds.rem_euclid(DAY) as i64;
    let (second, microsecond) = (of_day / 1_000_000, of_day % 1_000_000);
    let time = Time::new(second / 3600, second / 60 % 60, second % 60, microsecond, precision)?;
    Some((date, time))
}
