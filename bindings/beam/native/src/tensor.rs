//! Tensors as terms: `{data, shape, {kind, bits}, order, byte_order}`, of which `Slipring.Tensor` is
//! made, with the types written as Nx writes them.

use crate::atoms;
use crate::error::Fault;
use rustler::{Atom, Binary, Encoder, Env, Term};
use slipring_codec::format::ndarray::{ByteOrder, Descriptor, Dtype, Kind, Order};

/// A tensor to be sent.
pub(crate) struct Tensor<'a> {
    pub(crate) data: Binary<'a>,
    pub(crate) descriptor: Descriptor,
}

const HINT: &str = "give data as a binary, shape as a tuple of lengths, type as {:s | :u, 8 | 16 | \
                    32 | 64}, {:f, 16 | 32 | 64}, {:c, 64 | 128} or {:bool, 8}, order as :c or \
                    :fortran, byte_order as :little or :big";

impl<'a> Tensor<'a> {
    pub(crate) fn parse(term: Term<'a>) -> Result<Self, Fault> {
        let wrong = |field: &str| {
            let what = format!("the tensor's {field} can't be used");
            Fault::unsendable(&what, &format!("$.{field}"), "Slipring.Tensor", HINT)
        };
        let (data, shape, (kind, bits), order, byte_order): (
            Term<'a>,
            Term<'a>,
            (Term<'a>, Term<'a>),
            Term<'a>,
            Term<'a>,
        ) = term.decode().map_err(|_| wrong("type"))?;
        let data = Binary::from_term(data).map_err(|_| wrong("data"))?;
        let shape = rustler::types::tuple::get_tuple(shape)
            .and_then(|lengths| {
                lengths.into_iter().map(|n| n.decode::<u64>()).collect::<Result<Vec<_>, _>>()
            })
            .map_err(|_| wrong("shape"))?;
        let dtype = kind
            .decode::<Atom>()
            .ok()
            .zip(bits.decode::<u16>().ok())
            .and_then(|(kind, bits)| dtype(kind, bits))
            .ok_or_else(|| wrong("type"))?;
        let big = one_of(byte_order, atoms::little(), atoms::big());
        let big = big.ok_or_else(|| wrong("byte_order"))?;
        let order = one_of(order, atoms::c(), atoms::fortran()).ok_or_else(|| wrong("order"))?;
        let order = if order { Order::F } else { Order::C };
        let byte_order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let descriptor = Descriptor::new(dtype.with_byte_order(byte_order), order, &shape)?;
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

fn dtype(kind: Atom, bits: u16) -> Option<Dtype> {
    let letter = [
        (atoms::s(), b'i'),
        (atoms::u(), b'u'),
        (atoms::f(), b'f'),
        (atoms::c(), b'c'),
        (atoms::bool_(), b'b'),
    ];
    let (_, letter) = letter.into_iter().find(|(atom, _)| *atom == kind)?;
    bits.is_multiple_of(8)
        .then(|| Dtype::from_code((u16::from(letter) << 8) | (bits / 8)))
        .flatten()
}

/// A tensor that has arrived, with its data as a term.
pub(crate) fn term<'a>(
    env: Env<'a>,
    array: &Descriptor,
    data: Term<'a>,
) -> Result<Term<'a>, Fault> {
    let dtype = array.dtype();
    let kind = match dtype.kind() {
        Kind::Bool => atoms::bool_(),
        Kind::Int => atoms::s(),
        Kind::Uint => atoms::u(),
        Kind::Float => atoms::f(),
        Kind::Complex => atoms::c(),
        _ => return Err(Fault::unreadable(format!("the dtype {dtype} has no tensor"), "$.head")),
    };
    let lengths: Vec<Term<'_>> = array.shape().iter().map(|length| length.encode(env)).collect();
    let shape = rustler::types::tuple::make_tuple(env, &lengths);
    let order = if array.order() == Order::F { atoms::fortran() } else { atoms::c() };
    let byte_order =
        if dtype.byte_order() == ByteOrder::Big { atoms::big() } else { atoms::little() };
    Ok((data, shape, (kind, dtype.item_size() * 8), order, byte_order).encode(env))
}
