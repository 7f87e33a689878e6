//! Tensors: a `Slipring.Tensor` that is sent, with the types written as Nx writes them, and one that has
//! arrived, as `{data, shape, {kind, bits}, order, byte_order}`, of which the struct is made.

use crate::error::Fault;
use crate::value::terms::{self, Word};
use crate::value::{array, names};
use crate::{atoms, dtype};
use rustler::{Atom, Binary, Env, Term};
use slipring_codec::EncodeError;
use slipring_codec::format::ndarray::{Descriptor, Element, Order};

/// A tensor to be sent.
pub(crate) struct Tensor<'a> {
    pub(crate) data: Binary<'a>,
    pub(crate) descriptor: Descriptor,
}

const HINT: &str = "give data as a binary, shape as a tuple of lengths, type as {:s | :u, 8 | 16 | \
                    32 | 64}, {:f, 16 | 32 | 64}, {:c, 64 | 128}, {:bool, 8} or another of \
                    Slipring.Tensor's, order as :c or :fortran, byte_order as :little or :big";

/// Why a struct is no tensor: the field, if it is one, what is wrong, and what to do.
pub(crate) type Wrong = (Option<&'static str>, String, &'static str);

impl<'a> Tensor<'a> {
    /// Reads a `Slipring.Tensor`.
    pub(crate) fn of_struct(env: Env<'a>, map: Word<'a>) -> Result<Self, Wrong> {
        let wrong = |field: &'static str| {
            let what = format!("the tensor's {field} can't be used");
            (Some(field), what, HINT)
        };
        let field = |name: &'static str, atom: Atom| {
            terms::get(env, map, atom.into()).map(|word| word.term(env)).ok_or_else(|| wrong(name))
        };
        let data = field("data", names::data())?;
        let data = Binary::from_term(data).map_err(|_| wrong("data"))?;
        let shape = rustler::types::tuple::get_tuple(field("shape", names::shape())?)
            .and_then(|lengths| {
                lengths.into_iter().map(|n| n.decode::<u64>()).collect::<Result<Vec<_>, _>>()
            })
            .map_err(|_| wrong("shape"))?;
        let byte_order = field("byte_order", names::byte_order())?;
        one_of(byte_order, atoms::little(), atoms::big()).ok_or_else(|| wrong("byte_order"))?;
        let of = field("type", names::type_())?;
        let element = dtype::parse(of, byte_order).ok_or_else(|| wrong("type"))?;
        let order = one_of(field("order", names::order())?, atoms::c(), atoms::fortran());
        let order = if order.ok_or_else(|| wrong("order"))? { Order::F } else { Order::C };
        let refused = |error: EncodeError| (None, error.kind().to_string(), error.hint());
        let mut descriptor = Descriptor::new(element, order, &shape).map_err(refused)?;
        if matches!(descriptor.element(), Element::String(_)) {
            // How long the texts are is for the data to say.
            let len = descriptor.byte_len().max(data.len());
            descriptor = descriptor.with_data_len(len).map_err(refused)?;
        }
        if descriptor.byte_len() != data.len() {
            let what = format!(
                "the shape and type of the tensor make {} bytes, its data has {}",
                descriptor.byte_len(),
                data.len()
            );
            return Err((Some("data"), what, "give as many elements as the shape says"));
        }
        Ok(Self { data, descriptor })
    }

    /// The same, as an array frame.
    pub(crate) fn parse(env: Env<'a>, map: Word<'a>) -> Result<Self, Fault> {
        Self::of_struct(env, map).map_err(|(field, what, hint)| {
            let path = field.map_or("$".to_owned(), |field| format!("$.{field}"));
            Fault::unsendable(&what, &path, "Slipring.Tensor", hint)
        })
    }
}

/// `false` for the first atom, `true` for the second.
fn one_of(term: Term<'_>, first: Atom, second: Atom) -> Option<bool> {
    let atom = Atom::from_term(term).ok()?;
    if atom == first { Some(false) } else { (atom == second).then_some(true) }
}

/// A tensor that has arrived, with its data as a term.
pub(crate) fn term<'a>(
    env: Env<'a>,
    array: &Descriptor,
    data: Term<'a>,
) -> Result<Term<'a>, Fault> {
    let [shape, kind, order, byte_order] = array::facts(env, array)?;
    Ok(terms::make_tuple(env, &[data.into(), shape, kind, order, byte_order]).term(env))
}
