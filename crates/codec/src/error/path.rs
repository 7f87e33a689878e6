//! The way from the root to the place of an error.

use std::fmt::{self, Write};

/// Characters of a key that a path keeps: a hostile key must not make a hostile message.
const KEY_CHARS: usize = 48;

/// Steps that are written of a longer path at its begin and at its end.
const ENDS: usize = 10;

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Segment {
    /// A field of a body, or an entry of a map under a text key, cut to 48 characters.
    Key(Box<str>),
    /// An entry of a map under a key that is not text: its short form, such as `3` or `array`.
    OtherKey(Box<str>),
    /// The key itself of the entry with this number, counted from 0.
    KeyOf(usize),
    /// An item of an array, counted from 0.
    Index(usize),
    /// What a tag of this number encloses.
    Tag(u64),
}

impl Segment {
    /// A text key, cut to a length that is fit for a message.
    pub fn key(text: &str) -> Self {
        match text.char_indices().nth(KEY_CHARS) {
            None => Segment::Key(text.into()),
            Some((end, _)) => Segment::Key(format!("{}...", &text[..end]).into()),
        }
    }
}

/// The way from the root (`$`) to the place of an error, as in `$.meta.site[3]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    /// Innermost first: an error gathers its path on the way out.
    inner_first: Vec<Segment>,
}

impl Path {
    /// The steps, outermost first; empty at the root.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Segment> {
        self.inner_first.iter().rev()
    }

    /// Puts the path under one more step. Called on the way out, innermost first.
    pub fn enclose(&mut self, segment: Segment) {
        self.inner_first.push(segment);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('$')?;
        let len = self.inner_first.len();
        let cut = if len > 2 * ENDS { ENDS..len - ENDS } else { len..len };
        for (at, segment) in self.segments().enumerate() {
            if at == cut.start {
                f.write_str("...")?;
            }
            if cut.contains(&at) {
                continue;
            }
            match segment {
                Segment::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[{key:?}]")?,
                Segment::OtherKey(short) => write!(f, ".{{{short}}}")?,
                Segment::KeyOf(entry) => write!(f, ".<key {entry}>")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Tag(tag) => write!(f, ".<tag {tag}>")?,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// R6.5: a path reads the same way whatever the keys hold.
    #[test]
    fn a_path_is_one_line_whatever_the_keys_hold() {
        let mut path = Path::default();
        assert_eq!(path.to_string(), "$");
        path.enclose(Segment::Index(3));
        path.enclose(Segment::key("two\nlines"));
        path.enclose(Segment::OtherKey("7".into()));
        path.enclose(Segment::Tag(37));
        path.enclose(Segment::KeyOf(2));
        path.enclose(Segment::key("meta"));
        assert_eq!(path.to_string(), r#"$.meta.<key 2>.<tag 37>.{7}["two\nlines"][3]"#);
        assert_eq!(path.segments().len(), 6);
    }

    /// R6.5: of a path without an end both ends are told.
    #[test]
    fn a_long_path_is_cut_in_its_middle() {
        let mut path = Path::default();
        (0..20).rev().for_each(|index| path.enclose(Segment::Index(index)));
        assert!(!path.to_string().contains("..."));
        path.enclose(Segment::key("top"));
        let ends = ("$.top[0][1][2][3][4][5][6][7][8]...[10]", "[18][19]");
        let text = path.to_string();
        assert!(text.starts_with(ends.0) && text.ends_with(ends.1), "{text}");
    }

    /// P9: a key of a megabyte does not become a message of a megabyte.
    #[test]
    fn a_long_key_is_cut_between_characters() {
        let mut path = Path::default();
        path.enclose(Segment::key(&"ä".repeat(1 << 20)));
        assert!(path.to_string().chars().count() < 64, "{path}");
    }
}
