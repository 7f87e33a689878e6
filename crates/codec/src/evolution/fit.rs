//! A table as what was announced, before it is sent: what the rules convert exactly is converted, and nothing is dropped or
//! made up.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, Int64Array, PrimitiveArray, UInt64Array};
use arrow_buffer::{Buffer, MutableBuffer, i256};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Schema};

use super::apply::ApplyError;
use super::constant::default_of;
use super::fault::{Between, Fault, Incompatible, Reason};
use super::nulls::null_rows;
use super::packed::packed;
use super::resolve::{Source, Step, Version, arrange, resolve, step};
use crate::format::arrow::{Checks, Rows, SchemaPlace, Table, plan, read, to_half};
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
/// exactly, and texts into a dictionary; the others are not touched. Of a table whose types were only `inferred` from elements, integers
/// go into the type of numbers that was announced if all of them have a place there, and columns that may be null may be missing; so may all,
/// where it has no rows.
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
    let made = made(given, batches, announced, inferred);
    let (given, batches) = match &made {
        Some((given, batches)) => (given, &batches[..]),
        None => (given, batches),
    };
    let mut refused = match arrange(given, announced) {
        Ok(order) => return Ok(in_order(given, batches, &order)),
        Err(refused) => refused,
    };
    let is_empty = batches.iter().all(|rows| rows.len == 0);
    let can_be_helped = refused.faults.iter().all(|fault| match fault.reason {
        Reason::Type => true,
        Reason::Missing => inferred,
        _ => false,
    });
    // What would be converted or filled in is not what stands in the way.
    let is_filled = |fault: &Fault| {
        let wanted = announced.schema.field_with_name(&fault.path);
        let may_be = |field: &Field| field.is_nullable() || default_of(field).is_some();
        inferred && fault.reason == Reason::Missing && wanted.is_ok_and(may_be)
    };
    refused.faults.retain(|fault| !is_converted(fault) && !is_filled(fault));
    if !can_be_helped {
        return Err(Unfit::Schema(refused));
    }
    if inferred && is_empty {
        return Ok((announced.schema.clone(), Vec::new()));
    }
    // Most libraries say of each column that it may have nulls. Here is the data, which has some or not.
    let has_nulls = |number: usize| {
        batches.iter().any(|rows| null_rows(&rows.columns[number]).next().is_some())
    };
    let given = tightened(given, has_nulls);
    let projection = resolve(&Version::new(announced.name, announced.version, &given), announced)
        .map_err(|found| Unfit::Schema(found.between(Between::Sent)))?;
    let whole = |source: &Source| match source {
        Source::Written { step, .. } => is_whole(step),
        Source::Nulls | Source::Default(_) => inferred,
    };
    if !projection.columns.iter().all(whole) {
        return Err(Unfit::Schema(refused));
    }
    let (body, table) = laid_out(&given, batches)?;
    // It is the caller's own, and as large as its own rows.
    let limit = isize::MAX as usize;
    let projected = projection.apply(&table, &body, limit).map_err(Unfit::Value)?;
    let made = projected.record_batches(&body);
    // Only what the caller has changed meanwhile is no table any more.
    let made = made.map_err(|_| Unfit::Value(super::ApplyErrorKind::Changed.into()))?;
    Ok((Schema::clone(&projected.table.schema), made.iter().map(Rows::from).collect()))
}

/// The columns in this order, untouched.
fn in_order(given: &Schema, batches: &[Rows], order: &[usize]) -> (Schema, Vec<Rows>) {
    let fields = order.iter().map(|&at| Arc::clone(&given.fields()[at]));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let columns = |rows: &Rows| order.iter().map(|&at| rows.columns[at].clone()).collect();
    let batches = batches.iter().map(|rows| Rows { len: rows.len, columns: columns(rows) });
    (schema, batches.collect())
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

/// Whether a type that is not the one that was announced is converted to it.
fn is_converted(fault: &Fault) -> bool {
    match (&fault.reason, &fault.was, &fault.wants) {
        (Reason::Type, Some(was), Some(wants)) => keeps(was, wants),
        _ => false,
    }
}

/// Whether the rules make the one type of the other, and keep all that was given.
fn keeps(was: &DataType, wants: &DataType) -> bool {
    step(was, wants).is_some_and(|step| is_whole(&step))
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

/// The table with what a sender alone converts: texts in the dictionaries that were announced, and integers whose type was only `inferred`
/// in the types of numbers that were, where each has a place there. `None` where that changes nothing.
fn made(
    given: &Schema,
    batches: &[Rows],
    announced: &Version<'_>,
    inferred: bool,
) -> Option<(Schema, Vec<Rows>)> {
    let (mut fields, mut all) = (given.fields().to_vec(), None);
    for (number, field) in given.fields().iter().enumerate() {
        let mut wanted = announced.schema.fields().iter();
        let Some(wanted) = wanted.find(|wanted| wanted.name() == field.name()) else { continue };
        let pieces: Vec<_> = batches.iter().map(|rows| &rows.columns[number]).collect();
        let (was, wants) = (field.data_type(), wanted.data_type());
        let made = match wants {
            DataType::Dictionary(index, values) if !keeps(was, wants) => {
                packed(&pieces, was, index, values)
            }
            _ if inferred => numbers(&pieces, was, wants),
            _ => None,
        };
        let Some(made) = made else { continue };
        fields[number] = Arc::new(Field::clone(field).with_data_type(wanted.data_type().clone()));
        let all = all.get_or_insert_with(|| batches.to_vec());
        all.iter_mut().zip(made).for_each(|(rows, made)| rows.columns[number] = made);
    }
    all.map(|all| (Schema::new_with_metadata(fields, given.metadata().clone()), all))
}

/// Integers of 64 bits as another type of numbers, if each has a place there.
fn numbers(pieces: &[&ArrayData], was: &DataType, wants: &DataType) -> Option<Vec<ArrayData>> {
    fn each<T: ArrowPrimitiveType>(
        pieces: &[&ArrayData],
        wants: &DataType,
        to: impl Fn(i128) -> Option<T::Native>,
    ) -> Option<Vec<ArrayData>> {
        let put = |value: Option<i128>| value.map_or(Some(None), |value| to(value).map(Some));
        let one = |&piece: &&ArrayData| {
            let all: Option<Vec<_>> = match piece.data_type() {
                DataType::Int64 => {
                    let from = Int64Array::from(piece.clone());
                    from.iter().map(|value| put(value.map(i128::from))).collect()
                }
                _ => {
                    let from = UInt64Array::from(piece.clone());
                    from.iter().map(|value| put(value.map(i128::from))).collect()
                }
            };
            Some(PrimitiveArray::<T>::from_iter(all?).with_data_type(wants.clone()).into_data())
        };
        pieces.iter().map(one).collect()
    }
    if was == wants || !matches!(was, DataType::Int64 | DataType::UInt64) {
        return None;
    }
    // Up to here each integer is a float of its own.
    let within = |value: i128, bits: u32| value.unsigned_abs() <= 1 << bits;
    macro_rules! ints {
        ($kind:ty) => {
            each::<$kind>(pieces, wants, |value| value.try_into().ok())
        };
    }
    macro_rules! decimals {
        ($kind:ty, $precision:expr, $scale:expr) => {
            each::<$kind>(pieces, wants, |value| {
                scaled(value, *$precision, *$scale)?.try_into().ok()
            })
        };
    }
    match wants {
        DataType::Int8 => ints!(Int8Type),
        DataType::Int16 => ints!(Int16Type),
        DataType::Int32 => ints!(Int32Type),
        DataType::Int64 => ints!(Int64Type),
        DataType::UInt8 => ints!(UInt8Type),
        DataType::UInt16 => ints!(UInt16Type),
        DataType::UInt32 => ints!(UInt32Type),
        DataType::UInt64 => ints!(UInt64Type),
        DataType::Float16 => each::<Float16Type>(pieces, wants, |value| {
            within(value, 11).then_some(to_half(value as f64))
        }),
        DataType::Float32 => {
            each::<Float32Type>(pieces, wants, |value| within(value, 24).then_some(value as f32))
        }
        DataType::Float64 => {
            each::<Float64Type>(pieces, wants, |value| within(value, 53).then_some(value as f64))
        }
        DataType::Decimal32(precision, scale) => decimals!(Decimal32Type, precision, scale),
        DataType::Decimal64(precision, scale) => decimals!(Decimal64Type, precision, scale),
        DataType::Decimal128(precision, scale) => decimals!(Decimal128Type, precision, scale),
        DataType::Decimal256(precision, scale) => each::<Decimal256Type>(pieces, wants, |value| {
            let value = i256::from_i128(value);
            let factor = i256::from_i128(10).checked_pow(scale.unsigned_abs().into())?;
            let digits = match scale {
                0.. => value.checked_mul(factor)?,
                _ if value.checked_rem(factor)? == i256::ZERO => value.checked_div(factor)?,
                _ => return None,
            };
            let most = i256::from_i128(10).checked_pow((*precision).into())?;
            (digits < most && digits > most.wrapping_neg()).then_some(digits)
        }),
        _ => None,
    }
}

/// The digits of an integer as a decimal has them: no more than its precision, and none lost.
fn scaled(value: i128, precision: u8, scale: i8) -> Option<i128> {
    let factor = 10i128.checked_pow(scale.unsigned_abs().into());
    let digits = match factor {
        _ if value == 0 => 0,
        Some(factor) if scale >= 0 => value.checked_mul(factor)?,
        Some(factor) if value % factor == 0 => value / factor,
        _ => return None,
    };
    let most = 10u128.checked_pow(precision.into()).unwrap_or(u128::MAX);
    (digits.unsigned_abs() < most).then_some(digits)
}
