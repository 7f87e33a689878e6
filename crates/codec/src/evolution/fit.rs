//! A table as what was announced, before it is sent: what the rules convert exactly is converted, and nothing is dropped or
//! made up.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, Int64Array, PrimitiveArray};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Schema};

use super::apply::ApplyError;
use super::fault::{Between, Incompatible, Reason};
use super::resolve::{Source, Step, Version, arrange, resolve};
use crate::format::arrow::{Checks, Rows, SchemaPlace, Table, plan, read};
use crate::{Body, Content, DecodeError, EncodeError};

/// Why a table can't be sent under a schema.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Unfit {
    /// Its columns are others.
    Schema(Incompatible),
    /// An element has no place in the type that was announced.
    Value(ApplyError),
    /// It has no form as a table.
    Encode(EncodeError),
    /// It was changed meanwhile.
    Decode(DecodeError),
}

impl From<EncodeError> for Unfit {
    fn from(error: EncodeError) -> Self {
        Unfit::Encode(error)
    }
}

impl From<DecodeError> for Unfit {
    fn from(error: DecodeError) -> Self {
        Unfit::Decode(error)
    }
}

/// The columns as they were announced: in that order, and of those types. Columns of another type are converted where the rules do so
/// exactly; the others are not touched. Of a table whose types were only `inferred` from elements, integers go into the type that
/// was announced if all of them have a place there, and columns that may be null may be missing; so may all, where it has no rows.
///
/// A column that may have nulls suits one that may not as long as it has none, which is for the caller to see.
///
/// # Errors
///
/// [`Unfit`].
pub fn fit(
    given: &Schema,
    batches: &[Rows],
    announced: &Version<'_>,
    inferred: bool,
) -> Result<(Schema, Vec<Rows>), Unfit> {
    let refused = match arrange(given, announced) {
        Ok(order) => {
            let fields = order.iter().map(|&at| Arc::clone(&given.fields()[at]));
            let schema = Schema::new(fields.collect::<Vec<_>>());
            let columns =
                |rows: &Rows| order.iter().map(|&at| rows.columns[at].clone()).collect::<Vec<_>>();
            let batches = batches.iter().map(|rows| Rows { len: rows.len, columns: columns(rows) });
            return Ok((schema, batches.collect()));
        }
        Err(refused) => refused,
    };
    let is_empty = batches.iter().all(|rows| rows.len == 0);
    let can_be_helped = refused.faults.iter().all(|fault| match fault.reason {
        Reason::Type => true,
        Reason::Missing => inferred,
        _ => false,
    });
    if !can_be_helped {
        return Err(Unfit::Schema(refused));
    }
    if inferred && is_empty {
        return Ok((announced.schema.clone(), Vec::new()));
    }
    let mut columns: Vec<Vec<ArrayData>> =
        batches.iter().map(|rows| rows.columns.clone()).collect();
    let mut fields = Vec::with_capacity(given.fields().len());
    for (number, field) in given.fields().iter().enumerate() {
        let wanted = announced.schema.fields().iter().find(|wanted| wanted.name() == field.name());
        let mut field = Field::clone(field);
        let of = |all: &[Vec<ArrayData>]| -> Vec<ArrayData> {
            all.iter().map(|columns| columns[number].clone()).collect()
        };
        if inferred
            && let Some(wanted) = wanted
            && let Some(as_wanted) = integers(&of(&columns), wanted.data_type())
        {
            field.set_data_type(wanted.data_type().clone());
            columns.iter_mut().zip(as_wanted).for_each(|(columns, data)| columns[number] = data);
        }
        // Most libraries say of each column that it may have nulls. Here is the data, which has some or not.
        let has_nulls = of(&columns).iter().any(|data| data.null_count() != 0);
        fields.push(field.clone().with_nullable(field.is_nullable() && has_nulls));
    }
    let given = Schema::new(fields);
    let batches: Vec<Rows> = batches
        .iter()
        .zip(columns)
        .map(|(rows, columns)| Rows { len: rows.len, columns })
        .collect();
    let projection = resolve(&Version::new(announced.name, announced.version, &given), announced)
        .map_err(|found| Unfit::Schema(found.between(Between::Sent)))?;
    let whole = |source: &Source| match source {
        Source::Written { step, .. } => is_whole(step),
        Source::Nulls | Source::Default(_) => inferred,
    };
    if !projection.columns.iter().all(whole) {
        return Err(Unfit::Schema(refused));
    }
    let (body, table) = laid_out(&given, &batches)?;
    // It is the caller's own, and as large as its own rows.
    let limit = isize::MAX as usize;
    let projected = projection.apply(&table, &body, limit).map_err(Unfit::Value)?;
    let made = projected.record_batches(&body);
    // Only what the caller has changed meanwhile is no table any more.
    let made = made.map_err(|_| Unfit::Value(super::ApplyErrorKind::Changed.into()))?;
    Ok((Schema::clone(&projected.table.schema), made.iter().map(Rows::from).collect()))
}

/// Rows that lie anywhere, in memory as that of a frame's body, and where in it.
///
/// # Errors
///
/// [`Unfit::Encode`] and [`Unfit::Decode`].
pub fn laid_out(schema: &Schema, batches: &[Rows]) -> Result<(Buffer, Table), Unfit> {
    let plan = plan(schema, batches, SchemaPlace::Frame, None)?;
    let mut body = MutableBuffer::from_len_zeroed(plan.body_len());
    plan.write(&mut body, None)?;
    let body = Buffer::from(body);
    let opened = Body::open(plan.format().code(), plan.flags(), plan.type_code(), &body)?;
    let Content::Arrow(headed) = opened.content()? else {
        unreachable!("it was planned as a table")
    };
    let table = read(&headed, None, Checks::Safe)?;
    Ok((body, table))
}

/// The columns without what a library says of the whole table, and without the nulls that they may have and, by `has_nulls` of their number, have not:
/// most libraries say of each column that it may have some.
pub fn tightened(schema: &Schema, has_nulls: impl Fn(usize) -> bool) -> Schema {
    let fields = schema.fields().iter().enumerate().map(|(number, field)| {
        let nullable = field.is_nullable() && has_nulls(number);
        Arc::new(Field::clone(field).with_nullable(nullable))
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// Whether a step keeps all that was given, and adds nothing.
fn is_whole(step: &Step) -> bool {
    match step {
        Step::Keep
        | Step::Elements(_)
        | Step::Offsets { .. }
        | Step::Views { .. }
        | Step::Gathered { .. }
        | Step::Nulls => true,
        Step::Values(inner)
        | Step::Dictionary { values: inner, .. }
        | Step::List { item: inner, .. } => is_whole(inner),
        Step::Entries { key, value } => is_whole(key) && is_whole(value),
        Step::Struct { fields, written } => {
            let whole = |source: &Source| match source {
                Source::Written { step, .. } => is_whole(step),
                Source::Nulls | Source::Default(_) => false,
            };
            fields.len() == *written && fields.iter().all(whole)
        }
    }
}

/// Integers of 64 bits as a type of numbers, if each has a place there.
fn integers(pieces: &[ArrayData], wants: &DataType) -> Option<Vec<ArrayData>> {
    fn each<T: ArrowPrimitiveType>(
        pieces: &[ArrayData],
        to: impl Fn(i64) -> Option<T::Native>,
    ) -> Option<Vec<ArrayData>> {
        let one = |piece: &ArrayData| {
            let from = Int64Array::from(piece.clone());
            let all: Option<Vec<_>> = from
                .iter()
                .map(|value| value.map_or(Some(None), |value| to(value).map(Some)))
                .collect();
            Some(PrimitiveArray::<T>::from_iter(all?).into_data())
        };
        pieces.iter().map(one).collect()
    }
    if pieces.iter().any(|piece| *piece.data_type() != DataType::Int64) {
        return None;
    }
    // Up to here each integer is a float of its own.
    let within = |value: i64, bits: u32| value.unsigned_abs() <= 1 << bits;
    match wants {
        DataType::Int8 => each::<Int8Type>(pieces, |value| value.try_into().ok()),
        DataType::Int16 => each::<Int16Type>(pieces, |value| value.try_into().ok()),
        DataType::Int32 => each::<Int32Type>(pieces, |value| value.try_into().ok()),
        DataType::UInt8 => each::<UInt8Type>(pieces, |value| value.try_into().ok()),
        DataType::UInt16 => each::<UInt16Type>(pieces, |value| value.try_into().ok()),
        DataType::UInt32 => each::<UInt32Type>(pieces, |value| value.try_into().ok()),
        DataType::UInt64 => each::<UInt64Type>(pieces, |value| value.try_into().ok()),
        DataType::Float32 => {
            each::<Float32Type>(pieces, |value| within(value, 24).then_some(value as f32))
        }
        DataType::Float64 => {
            each::<Float64Type>(pieces, |value| within(value, 53).then_some(value as f64))
        }
        _ => None,
    }
}
