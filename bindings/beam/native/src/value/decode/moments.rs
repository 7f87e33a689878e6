//! Dates, times and durations.

use super::{FAULTY, Reader, Stop, form, notes, unfit};
use crate::value::calendar::{self, Date, Offset, Time};
use crate::value::names;
use crate::value::terms::{self, Word};
use rustler::Atom;
use slipring_codec::{Token, tag};

impl<'a> Reader<'a, '_, '_> {
    pub(super) fn date(&mut self, date: Date, form: usize) -> Result<Word<'a>, Stop> {
        self.form(
            form,
            &[
                (names::year(), self.int(date.year)),
                (names::month(), self.int(date.month)),
                (names::day(), self.int(date.day)),
            ],
        )
    }

    /// A struct with its time of day.
    fn with_time(&mut self, term: Word<'a>, time: &Time) -> Result<Word<'a>, Stop> {
        let microsecond = [self.int(time.microsecond), self.int(time.precision)];
        let fields = [
            (names::hour(), self.int(time.hour)),
            (names::minute(), self.int(time.minute)),
            (names::second(), self.int(time.second)),
            (names::microsecond(), terms::make_tuple(self.env, &microsecond)),
        ];
        self.updated(term, &fields)
    }

    fn updated(&self, term: Word<'a>, fields: &[(Atom, Word<'a>)]) -> Result<Word<'a>, Stop> {
        fields.iter().try_fold(term, |term, &(name, value)| {
            terms::update(self.env, term, name.into(), value)
                .ok_or_else(|| Stop::refused("a struct without its fields", FAULTY, 0))
        })
    }

    pub(super) fn time(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let text = self.text(tag::TIME, start)?;
        let (time, offset, cut) = calendar::time(text).ok_or_else(|| unfit(tag::TIME, start))?;
        if offset != Offset::None {
            // Elixir's have none: it is kept as it came.
            let number = terms::make_uint(self.env, tag::TIME);
            let text = terms::make_binary(self.env, text.as_bytes());
            return self.form(form::TAG, &[(names::number(), number), (names::value(), text)]);
        }
        self.note(cut, notes::SECOND);
        let template = self.form(form::TIME, &[])?;
        self.with_time(template, &time)
    }

    pub(super) fn naive(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let text = self.text(tag::NAIVE_DATETIME, start)?;
        let moment = calendar::moment(text)
            .filter(|moment| moment.offset == Offset::None && moment.zone.is_none())
            .ok_or_else(|| unfit(tag::NAIVE_DATETIME, start))?;
        self.note(moment.cut, notes::SECOND);
        let date = self.date(moment.date, form::NAIVE)?;
        self.with_time(date, &moment.time)
    }

    pub(super) fn datetime(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let text = self.text(tag::DATETIME, start)?;
        let moment = calendar::moment(text).filter(|moment| moment.zone.is_none());
        let moment = moment.ok_or_else(|| unfit(tag::DATETIME, start))?;
        self.note(moment.cut, notes::SECOND);
        let date = self.date(moment.date, form::DATETIME)?;
        let term = self.with_time(date, &moment.time)?;
        match moment.offset {
            Offset::None => Err(unfit(tag::DATETIME, start)),
            Offset::Utc | Offset::Seconds(0, _) => Ok(term),
            Offset::Seconds(seconds, _) => {
                // A zone that is its offset and nothing more.
                let mut name = String::new();
                calendar::write_offset(&mut name, seconds);
                self.zoned(term, seconds, 0, &name, &name)
            }
        }
    }

    fn zoned(
        &mut self,
        term: Word<'a>,
        standard: i32,
        saving: i32,
        zone: &str,
        abbreviation: &str,
    ) -> Result<Word<'a>, Stop> {
        let fields = [
            (names::utc_offset(), self.int(standard)),
            (names::std_offset(), self.int(saving)),
            (names::time_zone(), terms::make_binary(self.env, zone.as_bytes())),
            (names::zone_abbr(), terms::make_binary(self.env, abbreviation.as_bytes())),
        ];
        self.updated(term, &fields)
    }

    pub(super) fn zoned_datetime(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        const NUMBER: u64 = tag::ZONED_DATETIME;
        let ending = self.expect_items(3, NUMBER, start, depth)?;
        let text = self.text(NUMBER, start)?;
        let abbreviation = self.text(NUMBER, start)?;
        let saving = self.integer(NUMBER, start)?;
        self.end(ending, NUMBER, start)?;
        let moment = calendar::moment(text).ok_or_else(|| unfit(NUMBER, start))?;
        let offset = match moment.offset {
            Offset::Seconds(seconds, _) => seconds,
            Offset::Utc => 0,
            Offset::None => return Err(unfit(NUMBER, start)),
        };
        let zone = moment.zone.ok_or_else(|| unfit(NUMBER, start))?;
        let saving = i32::try_from(saving).ok().filter(|saving| saving.abs() <= 86_400);
        let saving = saving.ok_or_else(|| unfit(NUMBER, start))?;
        self.note(moment.cut, notes::SECOND);
        let date = self.date(moment.date, form::DATETIME)?;
        let term = self.with_time(date, &moment.time)?;
        self.zoned(term, offset - saving, saving, zone, abbreviation)
    }

    pub(super) fn epoch(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let (microseconds, precision) = match self.input.token()? {
            Token::Float(seconds) if seconds.abs() < 1e12 => {
                ((seconds * 1e6).round_ties_even() as i128, 6)
            }
            token => {
                let seconds = token.as_integer().ok_or_else(|| unfit(tag::EPOCH, start))?;
                (seconds * 1_000_000, 0)
            }
        };
        let (date, time) = calendar::from_epoch(microseconds, precision)
            .ok_or_else(|| unfit(tag::EPOCH, start))?;
        let date = self.date(date, form::DATETIME)?;
        self.with_time(date, &time)
    }

    pub(super) fn duration(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        self.enter(depth, start)?;
        let Token::Map(len) = self.input.token()? else {
            return Err(unfit(tag::DURATION, start));
        };
        let (mut seconds, mut microseconds, mut entry) = (None, None, 0);
        while match len {
            Some(len) => entry < len,
            None => !self.input.take_break(),
        } {
            let place = match self.integer(tag::DURATION, start)? {
                1 => &mut seconds,
                -6 => &mut microseconds,
                _ => return Err(unfit(tag::DURATION, start)),
            };
            let twice = place.is_some();
            *place = Some(match self.input.token()?.as_integer().map(i64::try_from) {
                Some(Ok(value)) if !twice => value,
                _ => return Err(unfit(tag::DURATION, start)),
            });
            entry += 1;
        }
        self.form(
            form::DURATION,
            &[
                (names::seconds(), self.int(seconds.unwrap_or(0))),
                (names::microseconds(), self.int(microseconds.unwrap_or(0))),
            ],
        )
    }
}
