//! Reading: views on a frame, as its header says what it is.

use crate::array::{ArrayView, Element};
use crate::error::Error;
use slipring::{Frame, Header};
use slipring_codec::{Body, Content, FORMAT_VERSION, Value, json};

/// Opens a body under the header of its frame.
///
/// # Errors
///
/// [`Version`](Error::Version), and [`Decode`](Error::Decode) for what [`Body::open`] refuses.
pub fn open<'a>(header: &Header, body: &'a [u8]) -> Result<Body<'a>, Error> {
    if header.format_version != FORMAT_VERSION {
        return Err(Error::Version { found: header.format_version });
    }
    Ok(Body::open(header.format, header.flags, header.type_code, body)?)
}

/// Reads a frame where it lies.
pub trait ReadTyped {
    /// The body: its format, its parts, its metadata.
    ///
    /// # Errors
    ///
    /// Those of [`open`].
    fn body(&self) -> Result<Body<'_>, Error>;

    /// The metadata; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`open`] and [`Body::meta`].
    fn meta(&self) -> Result<Option<Value>, Error> {
        Ok(self.body()?.meta()?)
    }

    /// The value of a frame of values or of JSON, as a tree with copies of its bytes. To leave large ones where they are, take
    /// [`Content::Value`] from [`body`](Self::body), and its [outline](slipring_codec::frame::Headed::outline).
    ///
    /// # Errors
    ///
    /// [`OtherFormat`](Error::OtherFormat), those of [`open`], and of the value or text itself.
    fn value(&self) -> Result<Value, Error> {
        let body = self.body()?;
        match body.content()? {
            Content::Value(headed) => Ok(headed.to_value()?),
            Content::Json(text) => Ok(json::from_slice(text.bytes)?),
            _ => Err(Error::OtherFormat { expected: "value or json", found: body.format() }),
        }
    }

    /// The array of a frame of arrays, in place.
    ///
    /// # Errors
    ///
    /// [`OtherFormat`](Error::OtherFormat), [`OtherDtype`](Error::OtherDtype), those of [`open`] and [`Body::content`].
    fn array<T: Element>(&self) -> Result<ArrayView<'_, T>, Error> {
        let body = self.body()?;
        match body.content()? {
            Content::Ndarray(view) => ArrayView::new(view),
            _ => Err(Error::OtherFormat { expected: "ndarray", found: body.format() }),
        }
    }
}

impl ReadTyped for Frame {
    fn body(&self) -> Result<Body<'_>, Error> {
        open(self.header(), self)
    }
}
