//! Formats and values of slipring frames, over plain byte slices.
//!
//! This crate knows what stands in the body of a frame and nothing of where the body lies: it
//! writes into any `&mut [u8]` and reads from any `&[u8]`. `docs/frame-format.md` is the same
//! format in words and pictures.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | the body: part table, head, buffers, metadata |
//! | [`format`](mod@format) | what each format says in its head: [`raw`](format::raw), [`ndarray`](format::ndarray), [`value`](format::value), [`json`](format::json), [`arrow`](format::arrow) |
//! | [`select`] | which format an object goes in, and why |
//! | [`infer`] | records as tables |
//! | [`cost`] | what that costs, as measured in use |
//! | [`tag`] | what CBOR's tags and our own say of an item |
//! | [`extension`] | types of one's own in values |
//! | [`evolution`] | schemas that change: what may, and how the old is read as the new |
//! | [`token`] | CBOR, one token at a time: what bindings drive from and to their own objects |
//! | [`value`] | CBOR as a tree, for Rust |
//! | [`json`] | JSON, piece by piece and as a tree |
//! | [`error`] | what went wrong, where, and what to do |
//!
//! Three rules hold everywhere:
//!
//! 1. **Plan, then write in place.** A [`Plan`] says how many bytes the body
//!    takes; it is then written straight into the memory that the frame will keep.
//! 2. **Bytes are checked once and then trusted.** Each field of a body is read one time, checked,
//!    and used from the copy. Any bytes at all give a view or an error, never a panic.
//! 3. **Nothing is allocated that the input has not paid for.** A length that the input claims is
//!    held against what is left of it.
//!
//! # A round trip
//!
//! ```
//! use slipring_codec::format::ndarray::{self, Descriptor, Dtype, Order};
//! use slipring_codec::{Body, Content, Encoder, Value};
//!
//! // Plan: a 2 x 3 array of f64 with metadata.
//! let mut meta = Encoder::new();
//! meta.map(1).text("site").int(4);
//! let meta = meta.into_vec();
//! let array = Descriptor::new(Dtype::F64, Order::C, &[2, 3])?;
//! let plan = ndarray::plan(&array, Some(&meta))?;
//!
//! // Write in place; the data is the caller's to fill.
//! let mut body = vec![0xAA; plan.body_len()];
//! let data = plan.write(&mut body)?;
//! data.fill(0);
//!
//! // Read: views on the body, with their offsets.
//! let (format, flags, type_code) = (plan.format().code(), plan.flags(), plan.type_code());
//! let body = Body::open(format, flags, type_code, &body)?;
//! let Content::Ndarray(view) = body.content()? else { panic!("an array was sent") };
//! assert_eq!(view.descriptor.shape(), [2, 3]);
//! assert_eq!(view.data.bytes.len(), 48);
//! assert_eq!(view.data.offset % 64, 0);
//! assert_eq!(body.meta()?.unwrap().get("site"), Some(&Value::Int(4)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod cost;
pub mod error;
pub mod evolution;
pub mod extension;
pub mod format;
pub mod frame;
#[cfg(feature = "arrow")]
pub mod infer;
pub mod json;
pub mod select;
pub mod tag;
pub mod token;
pub mod value;

pub use error::{
    ArrowFault, DecodeError, DecodeErrorKind, DtypeFault, EncodeError, EncodeErrorKind,
};
pub use frame::{Body, Content, FORMAT_VERSION, Format, Part, Parts, Plan};
pub use token::{Decoder, Encoder, Padded, Token};
pub use value::Value;
