//! Keys of a map that Elixir tells apart and CBOR does not: `"a"` and `%Slipring.Text{data: "a"}`.
//!
//! A map that holds a key twice is refused by every reader, so none is written.

use super::{NEVER, SEEN, Stop, Walk};
use crate::value::terms::{self, Draft, Gathered, Kind, Pairs, Word};
use rustler::Env;
use slipring_codec::Encoder;
use slipring_codec::error::Segment as Step;
use std::collections::HashMap;

/// A key that another one may be written like: its place, and as it was written.
pub(super) type Odd = (usize, Vec<u8>);

/// Lists and tuples inside each other that are looked into.
const LEVELS: usize = 8;

/// Whether no other plain key of the same map can be written as this one is.
pub(super) fn is_plain<'a>(env: Env<'a>, key: Word<'a>) -> bool {
    is_plain_within(env, key, LEVELS)
}

fn is_plain_within<'a>(env: Env<'a>, key: Word<'a>, levels: usize) -> bool {
    match terms::kind(env, key) {
        Kind::Atom | Kind::Bits | Kind::Integer | Kind::Float => true,
        Kind::Tuple if levels > 0 => terms::tuple(env, key)
            .unwrap_or_default()
            .iter()
            .all(|&item| is_plain_within(env, item, levels - 1)),
        Kind::List if levels > 0 => {
            let mut rest = key;
            while let Some((head, tail)) = terms::cell(env, rest) {
                if !is_plain_within(env, head, levels - 1) {
                    return false;
                }
                rest = tail;
            }
            true
        }
        _ => false,
    }
}

impl<'a, S: Draft> Walk<'a, S> {
    /// Writes a key to memory of its own, by a walk that goes on where this one is.
    fn apart(&mut self, key: Word<'a>, depth: usize) -> Result<Vec<u8>, Stop> {
        let mut walk = self.beside();
        let written = walk.term(key, depth);
        (self.prepared, self.needs, self.left) = (walk.prepared, walk.needs, walk.left);
        self.met = std::mem::take(&mut walk.met);
        written.map(|()| walk.out.sink())
    }

    /// Not on the stack, which is a scheduler's and small: keys may have keys.
    #[inline(never)]
    fn beside(&mut self) -> Box<Walk<'a, Vec<u8>>> {
        Box::new(Walk {
            env: self.env,
            out: Encoder::into_sink(Vec::new()),
            rules: self.rules,
            prepared: self.prepared,
            met: std::mem::take(&mut self.met),
            needs: self.needs,
            buffers: None,
            tables: Vec::new(),
            items: Gathered::new(),
            seen: [NEVER; SEEN],
            left: self.left,
        })
    }

    #[cold]
    pub(super) fn odd_key(
        &mut self,
        key: Word<'a>,
        entry: usize,
        depth: usize,
        odd: &mut Vec<Odd>,
    ) -> Result<(), Stop> {
        let bytes = self.apart(key, depth)?;
        self.out.sink_mut().put(&bytes);
        odd.push((entry, bytes));
        Ok(())
    }

    /// Refuses a map in which one of these keys is written like another.
    #[cold]
    pub(super) fn check_distinct(
        &mut self,
        map: Word<'a>,
        odd: &[Odd],
        depth: usize,
    ) -> Result<(), Stop> {
        // What Elixir has yet to prepare is known by the next walk.
        if self.needs {
            return Ok(());
        }
        let mut written = HashMap::with_capacity(odd.len());
        for (entry, bytes) in odd {
            if written.insert(&bytes[..], *entry).is_some() {
                return Err(twice(*entry));
            }
        }
        let Some(pairs) = Pairs::new(self.env, map) else { return Ok(()) };
        for (entry, (key, _)) in pairs.enumerate() {
            if !is_plain(self.env, key) {
                continue;
            }
            let bytes = self.apart(key, depth)?;
            if let Some(&other) = written.get(&bytes[..]) {
                return Err(twice(other.max(entry)));
            }
        }
        Ok(())
    }
}

#[cold]
fn twice(entry: usize) -> Stop {
    let what = "two keys are written alike: a map holds this key twice";
    Stop::refused(what, "map", "give each key once").within(|| Step::KeyOf(entry))
}
