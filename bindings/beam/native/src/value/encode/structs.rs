//! Structs: those with a form of their own, those that are registered, and those that Elixir prepares.

use super::{BUFFERS, Met, Piece, STRUCT, Stop, TERM, Walk, is, keys, module_name, step};
use crate::atoms;
use crate::error::Fault;
use crate::table::arrays::Parsed;
use crate::tensor::Tensor;
use crate::value::big::Big;
use crate::value::terms::{self, Draft, Kind, Pairs, Word};
use crate::value::{OBJECT_PARTS, names};
use rustler::Atom;
use slipring_codec::error::Segment as Step;
use slipring_codec::format::value::{
    ARRAY_OUT_OF_LINE, BYTES_OUT_OF_LINE, write_array, write_table,
};
use slipring_codec::tag;
use std::rc::Rc;

impl<'a, S: Draft> Walk<'a, S> {
    /// A field of a struct, which every one of its kind has that was not tampered with.
    pub(super) fn field(&self, map: Word<'a>, name: Atom) -> Result<Word<'a>, Stop> {
        terms::get(self.env, map, name.into()).ok_or_else(|| {
            let name = terms::with_atom(self.env, name.into(), str::to_owned);
            let hint = "make it by the functions of its module";
            Stop::refused(format!("a struct without its field {name}"), STRUCT, hint)
        })
    }

    pub(super) fn int_field(&self, map: Word<'a>, name: Atom) -> Result<i64, Stop> {
        let value = self.field(map, name)?;
        terms::int(self.env, value).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn bytes_field(&self, map: Word<'a>, name: Atom) -> Result<&'a [u8], Stop> {
        let value = self.field(map, name)?;
        terms::bytes(self.env, value).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn text_field(&self, map: Word<'a>, name: Atom) -> Result<&'a str, Stop> {
        std::str::from_utf8(self.bytes_field(map, name)?).map_err(|_| self.damaged(name))
    }

    #[cold]
    pub(super) fn damaged(&self, name: Atom) -> Stop {
        let name = terms::with_atom(self.env, name.into(), str::to_owned);
        let hint = "make it by the functions of its module";
        let what = format!("a struct whose field {name} does not hold what it should");
        Stop::refused(what, STRUCT, hint).within(|| Step::key(&name))
    }

    #[inline(never)]
    pub(super) fn structure(
        &mut self,
        map: Word<'a>,
        module: Word<'a>,
        depth: usize,
    ) -> Result<(), Stop> {
        // None of them takes more than a tag, an array and what stands in that.
        let n = names::all();
        let module_is = |atom: Atom| is(module, atom);
        if module_is(n.map_set) {
            self.set(map, depth)
        } else if module_is(n.range) {
            self.range(map, depth)
        } else if module_is(n.date) {
            self.date(map, depth)
        } else if module_is(n.time) {
            self.enter(depth, Kind::Map)?;
            let text = self.time_of(map)?.to_string();
            self.out.tag(tag::TIME).text(&text);
            Ok(())
        } else if module_is(n.naive) {
            self.enter(depth, Kind::Map)?;
            let text = format!("{}T{}", self.date_of(map)?, self.time_of(map)?);
            self.out.tag(tag::NAIVE_DATETIME).text(&text);
            Ok(())
        } else if module_is(n.datetime) {
            self.datetime(map, depth)
        } else if module_is(n.decimal) || module_is(n.own_decimal) {
            self.decimal(map, depth)
        } else if module_is(n.own_duration) {
            let seconds = self.field(map, names::seconds())?;
            let microseconds = self.int_field(map, names::microseconds())?;
            self.duration(seconds, microseconds, depth)
        } else if module_is(n.duration) {
            self.elixir_duration(map, depth)
        } else if module_is(n.uuid) {
            self.uuid(map, depth)
        } else if module_is(n.tensor) {
            self.tensor(map, depth)
        } else if module_is(n.table) {
            self.table(map, depth)
        } else if module_is(n.tag) {
            self.tag(map, depth)
        } else if module_is(n.object) {
            self.object(map, depth)
        } else if module_is(n.text) {
            let bytes = self.bytes_field(map, names::data())?;
            self.spend(bytes.len())?;
            let Ok(text) = std::str::from_utf8(bytes) else {
                let hint = "send it as %Slipring.Bytes{}, or as it is";
                return Err(Stop::refused("a text that is not UTF-8", "Slipring.Text", hint));
            };
            self.out.text(text);
            Ok(())
        } else if module_is(n.bytes) {
            let bytes = self.bytes_field(map, names::data())?;
            self.spend(bytes.len())?;
            self.bytes(bytes, BYTES_OUT_OF_LINE, depth);
            Ok(())
        } else if let Some(entry) = terms::get(self.env, self.rules.registry, module) {
            self.registered(map, entry, depth)
        } else {
            self.foreign(map, module, depth)
        }
    }

    /// What only Elixir knows: taken from what it has prepared, or noted.
    fn foreign(&mut self, map: Word<'a>, module: Word<'a>, depth: usize) -> Result<(), Stop> {
        // What it becomes counts as one level more, so that one which becomes itself comes to an end.
        self.enter(depth, Kind::Map)?;
        let Some((next, rest)) = terms::cell(self.env, self.prepared.rest) else {
            self.needs = true;
            self.met.push(Met::New(map));
            self.out.null();
            return Ok(());
        };
        match terms::tuple(self.env, next) {
            Some(&[how, term, inner]) if is(how, names::as_()) => {
                self.prepared.rest = inner;
                let outer = std::mem::take(&mut self.met);
                self.term(term, depth + 1)?;
                let inside = std::mem::replace(&mut self.met, outer);
                self.met.push(Met::Inside(inside));
                self.prepared.rest = rest;
                Ok(())
            }
            Some(&[how, kind, hint]) if is(how, names::refuse()) => {
                let text = |word| {
                    terms::bytes(self.env, word).map(String::from_utf8_lossy).unwrap_or_default()
                };
                Err(Stop::unsupported(&text(kind), &text(hint)))
            }
            _ => {
                let name = module_name(self.env, module);
                Err(Stop::refused("a struct that was not prepared", name, "call it again"))
            }
        }
    }

    fn registered(&mut self, map: Word<'a>, entry: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + OBJECT_PARTS, Kind::Map)?;
        let Some(&[name, version, fields]) = terms::tuple(self.env, entry) else {
            return Err(Stop::refused("a type that is registered wrongly", STRUCT, "register it"));
        };
        let env = self.env;
        let text = |word| terms::bytes(env, word).and_then(|b| std::str::from_utf8(b).ok());
        let fields = terms::tuple(self.env, fields).unwrap_or_default();
        self.out.tag(tag::OBJECT).array(3).text(text(name).unwrap_or_default());
        self.out.uint(terms::uint(self.env, version).unwrap_or_default());
        self.out.map(fields.len());
        for &field in fields {
            let (key, name) = match terms::tuple(self.env, field) {
                Some(&[key, name]) => (key, text(name).unwrap_or_default()),
                _ => return Err(Stop::refused("a field that is no pair", STRUCT, "register it")),
            };
            self.out.text(name);
            // A struct that was made by hand may lack it.
            let value = terms::get(self.env, map, key).unwrap_or(atoms::nil().into());
            self.term(value, depth + OBJECT_PARTS + 1)
                .map_err(|stop| stop.within(|| Step::key(name)))?;
        }
        Ok(())
    }

    fn object(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let name = self.text_field(map, names::name())?;
        let version = self.field(map, names::version())?;
        let version =
            terms::uint(self.env, version).ok_or_else(|| self.damaged(names::version()))?;
        let fields = self.field(map, names::fields())?;
        self.out.tag(tag::OBJECT).array(3).text(name).uint(version);
        // Fields are named by text, whatever the keys of the map are.
        match terms::kind(self.env, fields) {
            Kind::Map if terms::get(self.env, fields, atoms::struct_().into()).is_none() => {
                self.fields(fields, depth + OBJECT_PARTS)
            }
            _ => self.term(fields, depth + OBJECT_PARTS),
        }
    }

    fn fields(&mut self, fields: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let env = self.env;
        self.out.map(terms::map_size(env, fields));
        let Some(pairs) = Pairs::new(env, fields) else { return Ok(()) };
        let mut named_by_atoms = None;
        let mut odd = Vec::new();
        for (entry, (key, value)) in pairs.enumerate() {
            let atom = terms::kind(env, key) == Kind::Atom;
            if *named_by_atoms.get_or_insert(atom) != atom {
                let hint = "give the fields' names as atoms all, or as binaries all";
                return Err(Stop::refused("fields with names of two kinds", "map", hint));
            }
            if atom {
                let out = &mut self.out;
                terms::with_atom(env, key, |text| {
                    out.text(text);
                });
            } else if keys::is_plain(env, key) {
                self.term(key, depth + 1)?;
            } else {
                self.odd_key(key, entry, depth + 1, &mut odd)?;
            }
            self.term(value, depth + 1).map_err(|stop| stop.within(|| step(env, key)))?;
        }
        if odd.is_empty() { Ok(()) } else { self.check_distinct(fields, &odd, depth + 1) }
    }

    fn set(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let elements = self.field(map, names::map())?;
        let Some(pairs) = Pairs::new(self.env, elements) else {
            return Err(self.damaged(names::map()));
        };
        self.out.tag(tag::SET).array(terms::map_size(self.env, elements));
        for (index, (element, _)) in pairs.enumerate() {
            self.term(element, depth + 2).map_err(|stop| stop.within(|| Step::Index(index)))?;
        }
        Ok(())
    }

    fn range(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 2, Kind::Map)?;
        let big = |name| {
            let value = self.field(map, name)?;
            Big::read(self.env, value).ok_or_else(|| self.damaged(name))
        };
        let (first, last) = (big(names::first())?, big(names::last())?);
        let step = self.int_field(map, names::step())?;
        self.out.tag(tag::RANGE).array(3);
        first.write(&mut self.out);
        // Elixir's last is a part of the range, where the step meets it.
        last.plus(if step < 0 { -1 } else { 1 }).write(&mut self.out);
        self.out.int(step);
        Ok(())
    }

    fn decimal(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 2, Kind::Map)?;
        let sign = self.int_field(map, names::sign())?;
        let exponent = self.field(map, names::exp())?;
        let coefficient = self.field(map, names::coef())?;
        let minus = if sign < 0 { "-" } else { "" };
        if is(coefficient, names::not_a_number()) {
            self.out.tag(tag::DECIMAL_TEXT).text(&format!("{minus}NaN"));
            return Ok(());
        }
        if is(coefficient, names::inf()) {
            self.out.tag(tag::DECIMAL_TEXT).text(&format!("{minus}Infinity"));
            return Ok(());
        }
        let exponent = terms::int(self.env, exponent).ok_or_else(|| self.damaged(names::exp()))?;
        let mantissa = Big::read(self.env, coefficient)
            .filter(|mantissa| !mantissa.is_negative())
            .ok_or_else(|| self.damaged(names::coef()))?;
        self.spend(mantissa.len())?;
        if sign < 0 && mantissa.len() == 0 {
            let text = if exponent == 0 { "-0".to_owned() } else { format!("-0E{exponent}") };
            self.out.tag(tag::DECIMAL_TEXT).text(&text);
            return Ok(());
        }
        self.out.tag(tag::DECIMAL).array(2).int(exponent);
        let mantissa = if sign < 0 { mantissa.negated() } else { mantissa };
        mantissa.write(&mut self.out);
        Ok(())
    }

    fn uuid(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let bytes = self.bytes_field(map, names::bytes())?;
        if bytes.len() != 16 {
            return Err(self.damaged(names::bytes()));
        }
        self.out.tag(tag::UUID).bytes(bytes);
        Ok(())
    }

    fn tensor(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        let tensor = Tensor::of_struct(self.env, map).map_err(|(field, what, hint)| {
            let stop = Stop::refused(what, "Slipring.Tensor", hint);
            match field {
                Some(field) => stop.within(|| Step::key(field)),
                None => stop,
            }
        })?;
        let array = &tensor.descriptor;
        let data = tensor.data.as_slice();
        let out_of_line = self.buffers.is_some() && data.len() >= ARRAY_OUT_OF_LINE;
        self.spend(if out_of_line { TERM } else { data.len() })?;
        // A tag around an array, a tag, and the tag of a buffer.
        self.enter(depth + 3, Kind::Map)?;
        write_array(&mut self.out, array);
        self.bytes(data, ARRAY_OUT_OF_LINE, depth + 3);
        Ok(())
    }

    fn table(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        // A tag around an array of byte strings, for which the tag of a buffer may stand.
        self.enter(depth + 2, Kind::Map)?;
        let refused = |fault: Fault| {
            let (what, path, hint) = fault.within_value();
            let what = if path == "$" { what } else { format!("{what}, at {path} of the table") };
            Stop::refused(what, "Slipring.Table", &hint)
        };
        let known = self.tables.iter().find(|(word, _)| word.bits() == map.bits());
        let planned = match known {
            Some((_, planned)) => Rc::clone(planned),
            None => {
                let parsed = Parsed::of(self.env, map).map_err(refused)?;
                self.spend(parsed.size())?;
                let table = parsed.outgoing().map_err(refused)?;
                let planned = Rc::new(table.part().map_err(|error| refused(error.into()))?);
                self.tables.push((map, Rc::clone(&planned)));
                planned
            }
        };
        let bodies = planned.bodies();
        write_table(&mut self.out, planned.messages(), bodies.len());
        let fits =
            self.buffers.as_ref().is_some_and(|pieces| pieces.len() + bodies.len() <= BUFFERS);
        for (number, len) in bodies.enumerate() {
            match &mut self.buffers {
                Some(pieces) if fits => {
                    self.out.tag(tag::BUFFER).uint(pieces.len() as u64);
                    pieces.push(Piece::Table(Rc::clone(&planned), number, len));
                }
                _ => {
                    self.out.bytes(&planned.body(number, len).map_err(refused)?);
                }
            }
        }
        Ok(())
    }

    fn tag(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let number = self.field(map, names::number())?;
        let number = terms::uint(self.env, number).ok_or_else(|| self.damaged(names::number()))?;
        if number == tag::BUFFER {
            let hint = "send the bytes: those that are large go out of line by themselves";
            return Err(Stop::refused("the tag of buffers", "Slipring.Tag", hint));
        }
        let value = self.field(map, names::value())?;
        self.out.tag(number);
        self.term(value, depth + 1).map_err(|stop| stop.within(|| Step::Tag(number)))
    }
}
