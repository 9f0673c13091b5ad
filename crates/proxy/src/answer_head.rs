//! The head of the upstream's answer.

use crate::fields::{Field, HeadError, Span, decimal, first_line_end, head_end, list, parse_fields};

/// How long the body of an answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AnswerBody {
    /// None by the rules of HTTP (1xx, 204, 304).
    None,
    /// This many bytes.
    Length(u64),
    /// As the chunks say.
    Chunked,
    /// Until the upstream closes the connection.
    UntilClose,
}

/// A parsed answer head. Offsets are into the buffer it was parsed from.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    /// Bytes of the head including its empty line.
    pub(crate) length: usize,
    pub(crate) status: u16,
    /// Status and reason as they came, for example `204 No Content`.
    pub(crate) status_text: Span,
    pub(crate) fields: Vec<Field>,
    /// Values of the `Connection` fields.
    pub(crate) connection: Vec<Span>,
    pub(crate) body: AnswerBody,
    /// The upstream takes further requests on this connection.
    pub(crate) keeps_alive: bool,
}

impl Default for AnswerHead {
    fn default() -> Self {
        Self::new()
    }
}

impl AnswerHead {
    /// An empty head whose lists are reused from answer to answer.
    pub(crate) fn new() -> Self {
        Self {
            length: 0,
            status: 0,
            status_text: Span::default(),
            fields: Vec::new(),
            connection: Vec::new(),
            body: AnswerBody::None,
            keeps_alive: false,
        }
    }

    /// Parses the head at the beginning of `bytes`; `Ok(false)` when it is not complete yet. `line_start` is the
    /// progress of earlier calls over the same bytes, `0` at first.
    pub(crate) fn parse(&mut self, bytes: &[u8], line_start: &mut usize) -> Result<bool, HeadError> {
        let Some(length) = head_end(bytes, line_start)? else { return Ok(false) };
        let head = &bytes[..length];
        self.length = length;
        let first_line = first_line_end(head);
        let is_http_1_0 = self.parse_status_line(head, first_line)?;
        parse_fields(head, first_line + 2, &mut self.fields)?;
        self.interpret(head, is_http_1_0)?;
        Ok(true)
    }

    /// Whether this is an interim answer (1xx), which another one follows.
    pub(crate) fn is_interim(&self) -> bool {
        self.status < 200
    }

    fn parse_status_line(&mut self, head: &[u8], end: usize) -> Result<bool, HeadError> {
        let line = &head[..end];
        let is_http_1_0 = match line.get(..9) {
            Some(b"HTTP/1.1 ") => false,
            Some(b"HTTP/1.0 ") => true,
            _ => return Err(HeadError::Version),
        };
        let code = line.get(9..12).and_then(decimal).filter(|code| *code >= 100).ok_or(HeadError::StartLine)?;
        let has_clean_reason = match line.get(12..).unwrap_or_default() {
            [] => true,
            [b' ', reason @ ..] => reason.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)),
            _ => false,
        };
        if !has_clean_reason {
            return Err(HeadError::StartLine);
        }
        self.status = u16::try_from(code).expect("three digits");
        self.status_text = Span::new(9, end);
        Ok(is_http_1_0)
    }

    fn interpret(&mut self, head: &[u8], is_http_1_0: bool) -> Result<(), HeadError> {
        self.connection.clear();
        self.keeps_alive = !is_http_1_0;
        let (mut length, mut chunked) = (None, false);
        for field in &self.fields {
            let (name, value) = (field.name.of(head), field.value.of(head));
            match name.len() {
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    self.connection.push(field.value);
                    for option in list(value) {
                        if option.eq_ignore_ascii_case(b"close") {
                            self.keeps_alive = false;
                        } else if option.eq_ignore_ascii_case(b"keep-alive") && is_http_1_0 {
                            self.keeps_alive = true;
                        }
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let number = decimal(value).ok_or(HeadError::ContentLength)?;
                    if length.replace(number).is_some_and(|earlier| earlier != number) {
                        return Err(HeadError::ContentLength);
                    }
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(HeadError::TransferEncoding);
                    }
                    chunked = true;
                }
                _ => {}
            }
        }
        self.body = match (length, chunked) {
            _ if matches!(self.status, 100..=199 | 204 | 304) => AnswerBody::None,
            (Some(_), true) => return Err(HeadError::AmbiguousLength),
            (None, true) => AnswerBody::Chunked,
            (Some(length), false) => AnswerBody::Length(length),
            (None, false) => AnswerBody::UntilClose,
        };
        if self.body == AnswerBody::UntilClose {
            self.keeps_alive = false;
        }
        Ok(())
    }
}
