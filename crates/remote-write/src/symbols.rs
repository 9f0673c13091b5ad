//! The symbol table of a 2.0 request.

/// Texts by number, as they stand in the request. One that is not UTF-8 keeps its place and cannot be had.
#[derive(Default)]
pub(crate) struct Symbols<'a> {
    texts: Vec<Option<&'a str>>,
}

/// A reference that leads to no text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SymbolError {
    /// Beyond the end of the table.
    #[error("reference {reference} is out of range: the request has {symbols} symbols")]
    OutOfRange {
        /// The reference.
        reference: u64,
        /// Length of the table.
        symbols: usize,
    },
    /// To bytes that are no text.
    #[error("symbol {reference} is not valid UTF-8")]
    NotUtf8 {
        /// The reference.
        reference: u64,
    },
}

impl<'a> Symbols<'a> {
    pub(crate) fn push(&mut self, bytes: &'a [u8]) {
        self.texts.push(std::str::from_utf8(bytes).ok());
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    #[inline]
    pub(crate) fn get(&self, reference: u64) -> Result<&'a str, SymbolError> {
        match usize::try_from(reference).ok().and_then(|index| self.texts.get(index)) {
            Some(Some(text)) => Ok(text),
            Some(None) => Err(SymbolError::NotUtf8 { reference }),
            // 0 stands for the empty text, also in a request without symbols: an absent reference reads as 0.
            None if reference == 0 => Ok(""),
            None => Err(SymbolError::OutOfRange { reference, symbols: self.texts.len() }),
        }
    }
}
