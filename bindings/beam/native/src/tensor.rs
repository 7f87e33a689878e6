//! Tensors as terms: `{data, shape, {kind, bits}, order, byte_order}`, of which `Slipring.Tensor` is
//! made, with the types of numbers written as Nx writes them.

use crate::error::Fault;
use crate::{atoms, dtype};
use rustler::{Atom, Binary, Encoder, Env, Term};
use slipring_codec::format::ndarray::{Descriptor, Element, Order};

/// A tensor to be sent.
pub(crate) struct Tensor<'a> {
    pub(crate) data: Binary<'a>,
    pub(crate) descriptor: Descriptor,
}

const HINT: &str = "give data as a binary, shape as a tuple of lengths, type as {:s | :u, 8 | 16 | \
                    32 | 64}, {:f, 16 | 32 | 64}, {:c, 64 | 128}, {:bool, 8} or another of \
                    Slipring.Tensor's, order as :c or :fortran, byte_order as :little or :big";

impl<'a> Tensor<'a> {
    pub(crate) fn parse(term: Term<'a>) -> Result<Self, Fault> {
        let wrong = |field: &str| {
            let what = format!("the tensor's {field} can't be used");
            Fault::unsendable(&what, &format!("$.{field}"), "Slipring.Tensor", HINT)
        };
        let (data, shape, of, order, byte_order): (
            Term<'a>,
            Term<'a>,
            Term<'a>,
            Term<'a>,
            Term<'a>,
        ) = term.decode().map_err(|_| wrong("type"))?;
        let data = Binary::from_term(data).map_err(|_| wrong("data"))?;
        let shape = rustler::types::tuple::get_tuple(shape)
            .and_then(|lengths| {
                lengths.into_iter().map(|n| n.decode::<u64>()).collect::<Result<Vec<_>, _>>()
            })
            .map_err(|_| wrong("shape"))?;
        one_of(byte_order, atoms::little(), atoms::big()).ok_or_else(|| wrong("byte_order"))?;
        let element = dtype::parse(of, byte_order).ok_or_else(|| wrong("type"))?;
        let order = one_of(order, atoms::c(), atoms::fortran()).ok_or_else(|| wrong("order"))?;
        let order = if order { Order::F } else { Order::C };
        let mut descriptor = Descriptor::new(element, order, &shape)?;
        if matches!(descriptor.element(), Element::String(_)) {
            // How long the texts are is for the data to say.
            let len = descriptor.byte_len().max(data.len());
            descriptor = descriptor.with_data_len(len)?;
        }
        if descriptor.byte_len() != data.len() {
            let what = format!(
                "the shape and type of the tensor make {} bytes, its data has {}",
                descriptor.byte_len(),
                data.len()
            );
            let hint = "give as many elements as the shape says";
            return Err(Fault::unsendable(&what, "$.data", "Slipring.Tensor", hint));
        }
        Ok(Self { data, descriptor })
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
    let (of, byte_order) = dtype::term(env, array.element())?;
    let lengths: Vec<Term<'_>> = array.shape().iter().map(|length| length.encode(env)).collect();
    let shape = rustler::types::tuple::make_tuple(env, &lengths);
    let order = if array.order() == Order::F { atoms::fortran() } else { atoms::c() };
    Ok((data, shape, of, order, byte_order).encode(env))
}
