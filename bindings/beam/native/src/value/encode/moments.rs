//! Dates, times and durations.

use super::{STRUCT, Stop, Walk, is};
use crate::value::calendar::{self, Date, Time};
use crate::value::names;
use crate::value::terms::{self, Draft, Kind, Word};
use slipring_codec::tag;

impl<'a, S: Draft> Walk<'a, S> {
    fn calendar(&self, map: Word<'a>) -> Result<(), Stop> {
        if is(self.field(map, names::calendar())?, names::all().iso) {
            return Ok(());
        }
        let hint = "convert it to Calendar.ISO, by convert/2 of its module";
        Err(Stop::refused("a date or time of another calendar", STRUCT, hint))
    }

    pub(super) fn date_of(&self, map: Word<'a>) -> Result<Date, Stop> {
        self.calendar(map)?;
        let year = self.int_field(map, names::year())?;
        let month = self.int_field(map, names::month())?;
        let day = self.int_field(map, names::day())?;
        Date::new(year, month, day).ok_or_else(|| {
            // The first of them that is in no date.
            let wrong = match (Date::new(year, 1, 1), Date::new(year, month, 1)) {
                (None, _) => names::year(),
                (_, None) => names::month(),
                _ => names::day(),
            };
            self.damaged(wrong)
        })
    }

    pub(super) fn time_of(&self, map: Word<'a>) -> Result<Time, Stop> {
        self.calendar(map)?;
        let hour = self.int_field(map, names::hour())?;
        let minute = self.int_field(map, names::minute())?;
        let second = self.int_field(map, names::second())?;
        let (microsecond, precision) = self.microsecond(map)?;
        Time::new(hour, minute, second, microsecond, precision).ok_or_else(|| {
            let wrong = match (hour, minute, second) {
                (0..24, 0..60, 0..60) => names::microsecond(),
                (0..24, 0..60, _) => names::second(),
                (0..24, ..) => names::minute(),
                _ => names::hour(),
            };
            self.damaged(wrong)
        })
    }

    /// Microseconds, and how many digits of them are meant.
    fn microsecond(&self, map: Word<'a>) -> Result<(i64, i64), Stop> {
        let pair = self.field(map, names::microsecond())?;
        let read = |word| terms::int(self.env, word);
        match terms::tuple(self.env, pair) {
            Some(&[value, precision]) => read(value).zip(read(precision)),
            _ => None,
        }
        .ok_or_else(|| self.damaged(names::microsecond()))
    }

    pub(super) fn date(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let date = self.date_of(map)?;
        if date.is_plain() {
            self.out.tag(tag::DATE).text(&date.to_string());
        } else {
            self.out.tag(tag::EPOCH_DATE).int(date.to_days());
        }
        Ok(())
    }

    pub(super) fn datetime(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let mut text = format!("{}T{}", self.date_of(map)?, self.time_of(map)?);
        let zone = self.text_field(map, names::time_zone())?;
        let abbreviation = self.text_field(map, names::zone_abbr())?;
        let standard = self.int_field(map, names::utc_offset())?;
        let saving = self.int_field(map, names::std_offset())?;
        let offset = standard.checked_add(saving).and_then(|sum| i32::try_from(sum).ok());
        let offset = offset.filter(|sum| sum.abs() < 86_400);
        let offset = offset.ok_or_else(|| self.damaged(names::utc_offset()))?;
        if zone == "Etc/UTC" && (standard, saving, abbreviation) == (0, 0, "UTC") {
            text.push('Z');
            self.out.tag(tag::DATETIME).text(&text);
            return Ok(());
        }
        let start = text.len();
        calendar::write_offset(&mut text, offset);
        // A zone that is its offset and nothing more, as this side makes them of what has no name.
        if zone == &text[start..] && abbreviation == zone && saving == 0 {
            self.out.tag(tag::DATETIME).text(&text);
            return Ok(());
        }
        if !calendar::is_zone(zone) {
            return Err(self.damaged(names::time_zone()));
        }
        text.push('[');
        text.push_str(zone);
        text.push(']');
        self.out.tag(tag::ZONED_DATETIME).array(3).text(&text).text(abbreviation).int(saving);
        Ok(())
    }

    pub(super) fn duration(
        &mut self,
        seconds: Word<'a>,
        microseconds: i64,
        depth: usize,
    ) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let seconds =
            terms::int(self.env, seconds).ok_or_else(|| self.damaged(names::seconds()))?;
        self.write_duration(seconds, microseconds);
        Ok(())
    }

    fn write_duration(&mut self, seconds: i64, microseconds: i64) {
        let parts = if microseconds == 0 { 1 } else { 2 };
        self.out.tag(tag::DURATION).map(parts).int(1).int(seconds);
        if microseconds != 0 {
            self.out.int(-6).int(microseconds);
        }
    }

    /// Elixir's own, from 1.17 on.
    pub(super) fn elixir_duration(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        if self.int_field(map, names::year())? != 0 || self.int_field(map, names::month())? != 0 {
            let hint = "years and months have no fixed length: send them as numbers of their own";
            return Err(Stop::refused("a duration of years or months", "Duration", hint));
        }
        let mut seconds = 0i64;
        for (name, length) in [
            (names::week(), 604_800),
            (names::day(), 86_400),
            (names::hour(), 3_600),
            (names::minute(), 60),
            (names::second(), 1),
        ] {
            let sum = self.int_field(map, name)?.checked_mul(length);
            let sum = sum.and_then(|sum| seconds.checked_add(sum));
            seconds = sum.ok_or_else(|| self.damaged(name))?;
        }
        let (microseconds, _) = self.microsecond(map)?;
        self.write_duration(seconds, microseconds);
        Ok(())
    }
}
