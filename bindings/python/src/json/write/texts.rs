//! Texts between quotation marks.

use super::*;

impl<'py, S: Lend, const PLAIN: bool> Writer<'py, '_, S, PLAIN> {
    #[inline(always)]
    pub(crate) fn text(&mut self, object: Borrowed<'_, 'py, PyAny>) -> Outcome {
        // SAFETY: the place is that of `self.out`.
        match unsafe { self.quick_text(self.out.at(), object, *b"\"\0") } {
            Some(at) => {
                // SAFETY: everything up to it is written.
                unsafe { self.out.set(at.as_ptr()) };
                Ok(())
            }
            None => self.other_text(object),
        }
    }

    /// Writes a str between quotes, and after the last one another byte, which does not count, if it is of ASCII only
    /// and there is room for it, and gives the place behind the quote.
    ///
    /// # Safety
    /// `at` is as [`Out::set`] wants it.
    #[inline(always)]
    pub(super) unsafe fn quick_text(
        &self,
        at: *mut u8,
        object: Borrowed<'_, 'py, PyAny>,
        behind: [u8; 2],
    ) -> Option<NonNull<u8>> {
        if !PLAIN && self.options.ascii {
            return None;
        }
        let bytes = compact_ascii(&object)?;
        if !self.out.has_room(at, 6 * bytes.len() as u64) {
            return None;
        }
        // SAFETY: there is room for six bytes for each of these and MARGIN more. Before the characters of a compact str
        // stand its fixed fields, of more than a block.
        unsafe {
            at.write(b'"');
            let characters = object.as_ptr().cast::<ffi::PyASCIIObject>().add(1).cast();
            let at = escaped_behind_block(characters, bytes.len(), at.add(1));
            at.cast::<[u8; 2]>().write(behind);
            NonNull::new(at.add(1))
        }
    }

    /// A str that is not of ASCII only, or for which there is no room.
    #[inline(never)]
    pub(super) fn other_text(&mut self, object: Borrowed<'_, 'py, PyAny>) -> Outcome {
        // What raises may look for garbage, and that may run code of others.
        let object = object.to_owned();
        let object = object.as_borrowed();
        match text(&object) {
            Ok(text) => self.quoted(text),
            Err(fault) => self.without_unicode(&object, fault)?,
        }
        Ok(())
    }

    /// Text of ASCII that needs no escapes.
    pub(crate) fn plain_text(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + SHORT);
        // SAFETY: more bytes than these are reserved.
        unsafe {
            let at = self.out.at();
            at.write(b'"');
            copy_short(text, at.add(1));
            at.add(1 + text.len()).write(b'"');
            self.out.set(at.add(2 + text.len()));
        }
    }

    /// The first bytes of these, as [`plain_text`](Self::plain_text): without a branch for each length.
    #[inline(always)]
    pub(crate) fn short_text(&mut self, bytes: &[u8; 64], len: usize) {
        debug_assert!(len <= 64);
        self.out.reserve(64 + 2);
        // SAFETY: two more bytes than are written are reserved; what is behind the text does not count.
        unsafe {
            let at = self.out.at();
            at.write(b'"');
            at.add(1).cast::<[u8; 64]>().write(*bytes);
            at.add(1 + len).write(b'"');
            self.out.set(at.add(2 + len));
        }
    }

    /// Some of the first 32 bytes from one on, as they are.
    #[inline(always)]
    pub(crate) fn head(&mut self, bytes: &[u8; 33], begin: bool, len: usize) {
        debug_assert!(len <= 32);
        self.out.reserve(32);
        // SAFETY: as many bytes are reserved, and there are as many from each of the two places on.
        unsafe {
            let at = self.out.at();
            let from = bytes.as_ptr().add(usize::from(begin));
            at.cast::<[u8; 32]>().write(from.cast::<[u8; 32]>().read());
            self.out.set(at.add(len));
        }
    }

    /// Text between quotes.
    pub(crate) fn quoted(&mut self, text: &str) {
        let bytes = text.as_bytes();
        // The standard module escapes the last one of ASCII, too.
        if !PLAIN && self.options.ascii && bytes.iter().any(|&byte| byte >= 0x7f) {
            return self.quoted_ascii(text.chars().map(u32::from));
        }
        if bytes.len() > PIECE {
            return self.quoted_long(bytes);
        }
        // SAFETY: two quotes and six bytes for each of the text are reserved, and a block behind.
        unsafe {
            let at = self.out.room(self.out.at(), 6 * bytes.len());
            at.write(b'"');
            let at = escaped(bytes, at.add(1));
            at.write(b'"');
            self.out.set(at.add(1));
        }
    }

    #[inline(never)]
    fn quoted_long(&mut self, bytes: &[u8]) {
        self.out.put(b"\"");
        for piece in bytes.chunks(PIECE) {
            self.out.reserve(6 * piece.len() + BLOCK);
            // SAFETY: six bytes for each are reserved, and a block behind.
            unsafe {
                let at = escaped(piece, self.out.at());
                self.out.set(at);
            }
        }
        self.out.put(b"\"");
    }

    /// Text of which nothing but ASCII is left.
    #[cold]
    fn quoted_ascii(&mut self, code_points: impl Iterator<Item = u32>) {
        self.out.put(b"\"");
        for code_point in code_points {
            match (u8::try_from(code_point), char::from_u32(code_point)) {
                (Ok(byte), _) if byte < 0x7f => {
                    let (escape, len) = ESCAPES[usize::from(byte)];
                    match len {
                        0 => self.out.put(&[byte]),
                        _ => self.out.put(&escape[..usize::from(len)]),
                    }
                }
                (_, Some(char)) => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        self.out.put(format!("\\u{unit:04x}").as_bytes());
                    }
                }
                (_, None) => self.out.put(format!("\\u{code_point:04x}").as_bytes()),
            }
        }
        self.out.put(b"\"");
    }

    /// Text with lone surrogates: as escapes, if these are to stay.
    #[cold]
    fn without_unicode(&mut self, object: &Borrowed<'_, 'py, PyAny>, fault: Box<Fault>) -> Outcome {
        if !self.options.keep_surrogates {
            return Err(no_unicode(self.options, fault));
        }
        let units =
            object.call_method1(intern!(self.py, "encode"), ("utf-32-le", "surrogatepass"))?;
        let units = units.cast::<PyBytes>().map_err(PyErr::from)?;
        let (units, _) = units.as_bytes().as_chunks::<4>();
        self.quoted_ascii(units.iter().map(|unit| u32::from_le_bytes(*unit)));
        Ok(())
    }
}
