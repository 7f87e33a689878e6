//! The way to the place of an error, written as the codec writes it.

use std::fmt::{self, Write};

/// Characters of a key that a path keeps: a hostile key must not make a hostile message.
const KEY_CHARS: usize = 48;

/// One step of a path.
#[derive(Debug)]
pub(crate) enum Step {
    /// An entry under a text or atom as key, or a field of a struct.
    Key(String),
    /// An entry under another key: its short form.
    OtherKey(String),
    /// The key itself of the entry with this number, from 0.
    KeyOf(usize),
    /// An item of a list, a tuple or a set, from 0.
    Index(usize),
    /// What a tag encloses.
    Tag(u64),
}

impl Step {
    pub(crate) fn key(text: &str) -> Self {
        match text.char_indices().nth(KEY_CHARS) {
            None => Step::Key(text.to_owned()),
            Some((end, _)) => Step::Key(format!("{}...", &text[..end])),
        }
    }
}

/// The steps of an error, gathered on the way out: innermost first.
#[derive(Debug, Default)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    pub(crate) fn enclose(&mut self, step: Step) {
        self.0.push(step);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('$')?;
        for step in self.0.iter().rev() {
            match step {
                Step::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::OtherKey(short) => write!(f, ".{{{short}}}")?,
                Step::KeyOf(entry) => write!(f, ".<key {entry}>")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Tag(tag) => write!(f, ".<tag {tag}>")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}
