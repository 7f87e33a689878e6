//! How a table of one schema is read as another.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::constant::Constant;
use super::fault::{Between, Fault, Incompatible, Reason};
use super::widen::{Widening, widening};
use super::{ALIASES, DEFAULT};

/// A schema with its name and version.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Version<'a> {
    /// By which producers and consumers know it.
    pub name: &'a str,
    /// Its version.
    pub version: u32,
    /// Its columns.
    pub schema: &'a Schema,
}

impl<'a> Version<'a> {
    /// A schema of this name and version.
    pub fn new(name: &'a str, version: u32, schema: &'a Schema) -> Self {
        Self { name, version, schema }
    }
}

/// How each column that is expected comes from what was written. Made by [`resolve`].
#[derive(Debug, Clone)]
pub struct Projection {
    pub(super) wanted: SchemaRef,
    pub(super) columns: Vec<Source>,
    pub(super) written: SchemaRef,
}

/// Where a column comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// From the column with this number.
    Written { column: usize, step: Step },
    /// From nowhere: nulls.
    Nulls,
    /// From nowhere: its default.
    Default(Arc<Constant>),
}

/// What becomes of an array.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// It stays, with the type that is expected.
    Keep,
    /// Each element for itself.
    Elements(Widening),
    /// Offsets of so many bytes, to texts or bytes, become ones of so many.
    Offsets { from: usize, to: usize },
    /// Offsets of so many bytes become views of the same bytes.
    Views { from: usize },
    /// Views become offsets of so many bytes.
    Gathered { to: usize },
    /// A dictionary becomes its values, after this step.
    Values(Box<Step>),
    /// A dictionary stays one.
    Dictionary { indices: Option<Widening>, values: Box<Step> },
    /// A list of any kind; with `offsets` of so many bytes where they were of so many.
    List { offsets: Option<(usize, usize)>, item: Box<Step> },
    /// The entries of a map.
    Entries { key: Box<Step>, value: Box<Step> },
    /// The fields of a struct, which had so many.
    Struct { fields: Vec<Source>, written: usize },
    /// All of it is null.
    Nulls,
}

/// Whether version `new` may follow version `old`: whoever expects the new one can be given what was written as the old one.
///
/// # Errors
///
/// All that stands in the way.
pub fn compatible(old: &Version<'_>, new: &Version<'_>) -> Result<(), Incompatible> {
    resolve(old, new).map(drop)
}

/// How what was `written` is read as what is `wanted`. Both have the name of `wanted`.
///
/// # Errors
///
/// All that stands in the way.
pub fn resolve(written: &Version<'_>, wanted: &Version<'_>) -> Result<Projection, Incompatible> {
    let mut walk = Walk::default();
    let columns = walk.fields(written.schema.fields(), wanted.schema.fields());
    if !walk.faults.is_empty() {
        return Err(Incompatible {
            name: wanted.name.to_owned(),
            written: written.version,
            wanted: wanted.version,
            faults: walk.faults,
            between: Between::Versions,
        });
    }
    let (written, wanted) = (Arc::new(written.schema.clone()), Arc::new(wanted.schema.clone()));
    Ok(Projection { wanted, columns, written })
}

/// Which columns of `given`, in which order, are those that were announced: of the same names and types. A column that may
/// have nulls suits one that may not as long as it has none, which is for the caller to see.
///
/// # Errors
///
/// All that differs.
pub fn arrange(given: &Schema, announced: &Version<'_>) -> Result<Vec<usize>, Incompatible> {
    let mut walk = Walk::default();
    let (names, meant) = (by_name(given.fields()), by_name(announced.schema.fields()));
    let mut order = Vec::with_capacity(announced.schema.fields().len());
    for field in announced.schema.fields() {
        let wants = Some(field.data_type().clone());
        let found = match names.get(&**field.name()).map(Vec::as_slice) {
            None => Err((None, Reason::Missing)),
            // Where several share a name, they stand in the same order.
            Some(all) if all.len() == meant[&**field.name()].len() => {
                let nth =
                    order.iter().filter(|&&at: &&usize| given.field(at).name() == field.name());
                let at = all[nth.count()];
                let was = given.field(at).data_type();
                match same(was, field.data_type()) {
                    true => Ok(at),
                    false => Err((Some(was.clone()), Reason::Type)),
                }
            }
            Some(_) => Err((None, Reason::Ambiguous { name: field.name().clone() })),
        };
        match found {
            Ok(at) => order.push(at),
            Err((was, reason)) => {
                walk.faults.push(Fault { path: field.name().clone(), was, wants, reason })
            }
        }
    }
    for field in given.fields().iter().filter(|field| !meant.contains_key(&**field.name())) {
        let was = Some(field.data_type().clone());
        let path = field.name().clone();
        walk.faults.push(Fault { path, was, wants: None, reason: Reason::Unknown });
    }
    match walk.faults.is_empty() {
        true => Ok(order),
        false => Err(Incompatible {
            name: announced.name.to_owned(),
            written: announced.version,
            wanted: announced.version,
            faults: walk.faults,
            between: Between::Sent,
        }),
    }
}

/// Whether each default of a schema is one of its column's type, so that it is found now and not when it is needed.
///
/// # Errors
///
/// All that are not.
pub fn defaults(of: &Version<'_>) -> Result<(), Incompatible> {
    let mut walk = Walk::default();
    walk.defaults(of.schema.fields());
    match walk.faults.is_empty() {
        true => Ok(()),
        false => Err(Incompatible {
            name: of.name.to_owned(),
            written: of.version,
            wanted: of.version,
            faults: walk.faults,
            between: Between::Defaults,
        }),
    }
}

impl Projection {
    /// What comes out.
    pub fn schema(&self) -> &SchemaRef {
        &self.wanted
    }

    /// Whether every column is the one that was written, in its place.
    pub fn is_identity(&self) -> bool {
        in_place(&self.columns, self.written.fields().len())
    }

    /// Names of the columns that have to be made; the others stay where they lie.
    pub fn made(&self) -> impl Iterator<Item = &str> {
        let made =
            |source: &Source| !matches!(source, Source::Written { step, .. } if step.stays());
        let fields = self.wanted.fields().iter().zip(&self.columns);
        fields.filter(move |(_, source)| made(source)).map(|(field, _)| field.name().as_str())
    }
}

fn by_name(fields: &[FieldRef]) -> HashMap<&str, Vec<usize>> {
    let mut names: HashMap<_, Vec<_>> = HashMap::with_capacity(fields.len());
    for (number, field) in fields.iter().enumerate() {
        names.entry(field.name().as_str()).or_default().push(number);
    }
    names
}

/// A walk through two schemas at once.
#[derive(Default)]
struct Walk {
    path: String,
    faults: Vec<Fault>,
}

impl Walk {
    fn fault(&mut self, was: Option<&DataType>, wants: &DataType, reason: Reason) {
        let (path, was, wants) = (self.path.clone(), was.cloned(), Some(wants.clone()));
        self.faults.push(Fault { path, was, wants, reason });
    }

    /// As `walk` does, one step further down.
    fn within<T>(&mut self, part: std::fmt::Arguments<'_>, walk: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.path.len();
        // Into a string nothing fails.
        let _ = self.path.write_fmt(part);
        let walked = walk(self);
        self.path.truncate(len);
        walked
    }

    fn defaults(&mut self, fields: &[FieldRef]) {
        let dot = if self.path.is_empty() { "" } else { "." };
        for field in fields {
            let data_type = field.data_type();
            self.within(format_args!("{dot}{}", field.name()), |walk| {
                if let Some(value) = field.metadata().get(DEFAULT)
                    && Constant::parse(data_type, value).is_none()
                {
                    let reason = Reason::Default { value: value.to_owned() };
                    walk.fault(Some(data_type), data_type, reason);
                }
                walk.defaults_within(data_type);
            });
        }
    }

    /// The defaults of the columns within a column.
    fn defaults_within(&mut self, data_type: &DataType) {
        use DataType::*;
        match data_type {
            Struct(fields) => self.defaults(fields),
            List(item)
            | LargeList(item)
            | ListView(item)
            | LargeListView(item)
            | FixedSizeList(item, _) => {
                self.within(format_args!("[]"), |walk| walk.defaults_within(item.data_type()));
            }
            Map(entries, _) => {
                if let Struct(entry) = entries.data_type() {
                    self.within(format_args!("{{}}"), |walk| {
                        entry.iter().for_each(|field| walk.defaults_within(field.data_type()));
                    });
                }
            }
            Dictionary(_, values) => self.defaults_within(values),
            _ => {}
        }
    }

    fn fields(&mut self, written: &[FieldRef], wanted: &[FieldRef]) -> Vec<Source> {
        let (there, meant) = (by_name(written), by_name(wanted));
        let mut taken = vec![false; written.len()];
        let mut sources = Vec::with_capacity(wanted.len());
        let mut passed: HashMap<&str, usize> = HashMap::new();
        let dot = if self.path.is_empty() { "" } else { "." };
        for field in wanted {
            let nth = passed.entry(field.name()).or_default();
            let number = *nth;
            *nth += 1;
            let source = self.within(format_args!("{dot}{}", field.name()), |walk| {
                let found = match there.get(field.name().as_str()) {
                    Some(all) if all.len() == meant[field.name().as_str()].len() => {
                        Ok(Some(all[number]))
                    }
                    Some(_) => Err(field.name().as_str()),
                    None => by_alias(field, &there),
                };
                match found {
                    Ok(Some(at)) if taken[at] => {
                        let reason = Reason::Ambiguous { name: written[at].name().clone() };
                        walk.fault(Some(written[at].data_type()), field.data_type(), reason);
                        Source::Nulls
                    }
                    Ok(Some(at)) => {
                        taken[at] = true;
                        Source::Written { column: at, step: walk.field(&written[at], field) }
                    }
                    Ok(None) => walk.nothing(field),
                    Err(name) => {
                        walk.fault(
                            None,
                            field.data_type(),
                            Reason::Ambiguous { name: name.to_owned() },
                        );
                        Source::Nulls
                    }
                }
            });
            sources.push(source);
        }
        sources
    }

    /// What stands for a column that was not written.
    fn nothing(&mut self, field: &Field) -> Source {
        match field.metadata().get(DEFAULT) {
            Some(value) => match Constant::parse(field.data_type(), value) {
                Some(constant) => return Source::Default(Arc::new(constant)),
                None => {
                    self.fault(
                        None,
                        field.data_type(),
                        Reason::Default { value: value.to_owned() },
                    );
                }
            },
            None if field.is_nullable() => {}
            None => self.fault(None, field.data_type(), Reason::Missing),
        }
        Source::Nulls
    }

    fn field(&mut self, written: &Field, wanted: &Field) -> Step {
        let (was, wants) = (written.data_type(), wanted.data_type());
        let may_be_null = written.is_nullable() || *was == DataType::Null;
        if may_be_null && !wanted.is_nullable() && *wants != DataType::Null {
            self.fault(Some(was), wants, Reason::Nullable);
        }
        self.step(was, wants)
    }

    fn step(&mut self, was: &DataType, wants: &DataType) -> Step {
        use DataType::*;
        if was == wants {
            return Step::Keep;
        }
        if let Some(widening) = widening(was, wants) {
            return match widening {
                Widening::Decimal { from, to, digits: 0 } if from == to => Step::Keep,
                widening => Step::Elements(widening),
            };
        }
        match (was, wants) {
            (Null, _) => Step::Nulls,
            // Texts are the same in whichever layout.
            (Utf8, LargeUtf8) | (Binary, LargeBinary) => Step::Offsets { from: 4, to: 8 },
            (LargeUtf8, Utf8) | (LargeBinary, Binary) => Step::Offsets { from: 8, to: 4 },
            (Utf8, Utf8View) | (Binary, BinaryView) => Step::Views { from: 4 },
            (LargeUtf8, Utf8View) | (LargeBinary, BinaryView) => Step::Views { from: 8 },
            (Utf8View, Utf8) | (BinaryView, Binary) => Step::Gathered { to: 4 },
            (Utf8View, LargeUtf8) | (BinaryView, LargeBinary) => Step::Gathered { to: 8 },
            (List(was), List(wants))
            | (LargeList(was), LargeList(wants))
            | (ListView(was), ListView(wants))
            | (LargeListView(was), LargeListView(wants)) => self.list(was, wants, None),
            (FixedSizeList(was, size), FixedSizeList(wants, same)) if size == same => {
                self.list(was, wants, None)
            }
            (List(was), LargeList(wants)) | (ListView(was), LargeListView(wants)) => {
                self.list(was, wants, Some((4, 8)))
            }
            (LargeList(was), List(wants)) => self.list(was, wants, Some((8, 4))),
            (Struct(was), Struct(wants)) => {
                Step::Struct { fields: self.fields(was, wants), written: was.len() }
            }
            (Map(was, sorted), Map(wants, order)) if sorted == order || !order => {
                let entries = |field: &FieldRef| match field.data_type() {
                    Struct(fields) if fields.len() == 2 => {
                        Some([fields[0].clone(), fields[1].clone()])
                    }
                    _ => None,
                };
                let (Some([key, value]), Some([to_key, to_value])) = (entries(was), entries(wants))
                else {
                    return self.refused(&Map(was.clone(), *sorted), &Map(wants.clone(), *order));
                };
                self.within(format_args!("{{}}"), |walk| Step::Entries {
                    key: Box::new(walk.field(&key, &to_key)),
                    value: Box::new(walk.field(&value, &to_value)),
                })
            }
            (Dictionary(key, was), Dictionary(to_key, wants)) => {
                let indices = match key == to_key {
                    true => None,
                    false => match widening(key, to_key) {
                        Some(widening) => Some(widening),
                        None => {
                            let of = |key: &DataType, values: &DataType| {
                                Dictionary(Box::new(key.clone()), Box::new(values.clone()))
                            };
                            return self.refused(&of(key, was), &of(to_key, wants));
                        }
                    },
                };
                Step::Dictionary { indices, values: Box::new(self.step(was, wants)) }
            }
            (Dictionary(_, values), _) if can_be_picked(values) && can_be_picked(wants) => {
                Step::Values(Box::new(self.step(values, wants)))
            }
            (Union(was, mode), Union(wants, other))
                if mode == other && was.len() == wants.len() =>
            {
                let suits = was.iter().zip(wants.iter()).all(|((id, was), (other, wants))| {
                    id == other && was.name() == wants.name() && same_field(was, wants)
                });
                if suits {
                    Step::Keep
                } else {
                    self.refused(&Union(was.clone(), *mode), &Union(wants.clone(), *mode))
                }
            }
            (RunEndEncoded(ends, values), RunEndEncoded(to_ends, to_values))
                if same(ends.data_type(), to_ends.data_type()) && same_field(values, to_values) =>
            {
                Step::Keep
            }
            _ => self.refused(was, wants),
        }
    }

    fn list(&mut self, was: &FieldRef, wants: &FieldRef, offsets: Option<(usize, usize)>) -> Step {
        let item = self.within(format_args!("[]"), |walk| walk.field(was, wants));
        Step::List { offsets, item: Box::new(item) }
    }

    fn refused(&mut self, was: &DataType, wants: &DataType) -> Step {
        self.fault(Some(was), wants, Reason::Type);
        Step::Keep
    }
}

/// Types whose elements can be picked one by one out of a dictionary's values.
fn can_be_picked(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Boolean | Utf8 | LargeUtf8 | Binary | LargeBinary | Utf8View | BinaryView
        | FixedSizeBinary(_) => true,
        other => other.primitive_width().is_some(),
    }
}

/// The column that has the first of the field's former names of which there is one; the name, if there are several.
fn by_alias<'f>(
    field: &'f Field,
    there: &HashMap<&str, Vec<usize>>,
) -> Result<Option<usize>, &'f str> {
    let aliases = field.metadata().get(ALIASES).map_or("", |aliases| aliases);
    for alias in aliases.split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
        match there.get(alias).map(Vec::as_slice) {
            Some([only]) => return Ok(Some(*only)),
            Some(_) => return Err(alias),
            None => {}
        }
    }
    Ok(None)
}

fn in_place(sources: &[Source], written: usize) -> bool {
    sources.len() == written
        && sources.iter().enumerate().all(|(number, source)| {
            matches!(source, Source::Written { column, step } if *column == number && step.stays())
        })
}

/// What becomes of an array of one type that is wanted as another, if the rules say so.
pub(super) fn step(was: &DataType, wants: &DataType) -> Option<Step> {
    let mut walk = Walk::default();
    let step = walk.step(was, wants);
    walk.faults.is_empty().then_some(step)
}

/// Whether arrays of one type lie as those of the other, and mean the same.
fn same(was: &DataType, wants: &DataType) -> bool {
    step(was, wants).is_some_and(|step| step.stays())
}

fn same_field(was: &FieldRef, wants: &FieldRef) -> bool {
    (wants.is_nullable() || !was.is_nullable()) && same(was.data_type(), wants.data_type())
}

impl Step {
    /// Whether the buffers of an array stay, all of them, in their order.
    pub(super) fn stays(&self) -> bool {
        match self {
            Step::Keep => true,
            Step::List { offsets: None, item: inner }
            | Step::Dictionary { indices: None, values: inner } => inner.stays(),
            Step::Entries { key, value } => key.stays() && value.stays(),
            Step::Struct { fields, written } => in_place(fields, *written),
            _ => false,
        }
    }
}
