//! What a dtype is called: as NumPy writes it.

use std::fmt::{self, Write};

use super::{Dtype, Element, Struct, TimeUnit};

/// As NumPy writes it: `<f8`, `<M8[25s]`, `|S3`, `[('a', '<i4'), ('b', 'S3', (2,))]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, order) = self.letters();
        match self {
            Element::Numeric(dtype) => dtype.fmt(f),
            Element::Struct(of) => write_struct(f, of),
            Element::Subarray(of) => {
                f.write_char('(')?;
                write_format(f, of.element())?;
                f.write_str(", ")?;
                write_shape(f, of.shape())?;
                f.write_char(')')
            }
            Element::String(_) => f.write_str("StringDType()"),
            _ => {
                let size = match self {
                    Element::Text { len, .. } => *len as usize,
                    _ => self.item_size(),
                };
                write!(f, "{}{}{size}", order as char, kind as char)?;
                match self {
                    Element::Time { unit: TimeUnit::Generic, .. } => Ok(()),
                    Element::Time { unit, count: 1, .. } => write!(f, "[{}]", unit.name()),
                    Element::Time { unit, count, .. } => write!(f, "[{count}{}]", unit.name()),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// A list of fields, where nothing else is to be said; else NumPy's dictionary.
fn write_struct(f: &mut fmt::Formatter<'_>, of: &Struct) -> fmt::Result {
    if of.is_packed() && !of.is_aligned() {
        return write_list(f, "[]", of.fields().iter(), |f, field| {
            f.write_char('(')?;
            match &field.title {
                Some(title) => {
                    f.write_char('(')?;
                    write_quoted(f, title)?;
                    f.write_str(", ")?;
                    write_quoted(f, &field.name)?;
                    f.write_str("), ")?;
                }
                None => {
                    write_quoted(f, &field.name)?;
                    f.write_str(", ")?;
                }
            }
            match &field.element {
                Element::Subarray(of) => {
                    write_format(f, of.element())?;
                    f.write_str(", ")?;
                    write_shape(f, of.shape())?;
                }
                other => write_format(f, other)?,
            }
            f.write_char(')')
        });
    }
    f.write_str("{'names': ")?;
    write_list(f, "[]", of.fields().iter(), |f, field| write_quoted(f, &field.name))?;
    f.write_str(", 'formats': ")?;
    write_list(f, "[]", of.fields().iter(), |f, field| write_format(f, &field.element))?;
    f.write_str(", 'offsets': ")?;
    write_list(f, "[]", of.fields().iter(), |f, field| write!(f, "{}", field.offset))?;
    if of.fields().iter().any(|field| field.title.is_some()) {
        f.write_str(", 'titles': ")?;
        write_list(f, "[]", of.fields().iter(), |f, field| match &field.title {
            Some(title) => write_quoted(f, title),
            None => f.write_str("None"),
        })?;
    }
    write!(f, ", 'itemsize': {}", of.item_size())?;
    f.write_str(if of.is_aligned() { ", 'aligned': True}" } else { "}" })
}

/// A dtype as a part of another: those that are one word stand in quotes.
fn write_format(f: &mut fmt::Formatter<'_>, element: &Element) -> fmt::Result {
    match element {
        Element::Struct(_) | Element::Subarray(_) | Element::String(_) => write!(f, "{element}"),
        Element::Numeric(Dtype::BOOL) => f.write_str("'?'"),
        word => write!(f, "'{}'", word.to_string().trim_start_matches('|')),
    }
}

fn write_shape(f: &mut fmt::Formatter<'_>, shape: &[u32]) -> fmt::Result {
    match shape {
        [length] => write!(f, "({length},)"),
        _ => write_list(f, "()", shape.iter(), |f, length| write!(f, "{length}")),
    }
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    brackets: &str,
    items: impl Iterator<Item = T>,
    item: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(&brackets[..1])?;
    for (i, of) in items.enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        item(f, of)?;
    }
    f.write_str(&brackets[1..])
}

/// A text as a literal of Python's: whatever it holds, it stays one line and ends where it should.
fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for c in text.chars() {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('\'')
}
