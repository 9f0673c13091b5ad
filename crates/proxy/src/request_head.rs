//! The head of a sender's request.
//!
//! Takes bytes, gives offsets into them. Every rule that keeps this proxy and the server behind it of one opinion about
//! where a request ends is here: one framing, one host, no folded lines, no bare line feeds.

use crate::fields::{Field, HeadError, Span, decimal, first_line_end, head_end, is_token_byte, list, parse_fields};

/// How long the body of a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RequestBody {
    /// This many bytes; `0` also stands for none.
    Length(u64),
    /// As the chunks say.
    Chunked,
}

/// A parsed request head. Offsets are into the buffer it was parsed from.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// Bytes of the head including its empty line.
    pub(crate) length: usize,
    pub(crate) method: Span,
    /// Path and query, beginning with a slash.
    pub(crate) target: Span,
    /// `Host`, or the authority of an absolute target, which outranks it.
    pub(crate) host: Option<Span>,
    pub(crate) fields: Vec<Field>,
    /// Values of the `Connection` fields.
    pub(crate) connection: Vec<Span>,
    pub(crate) body: RequestBody,
    pub(crate) expects_continue: bool,
    /// The sender takes further requests on this connection.
    pub(crate) keeps_alive: bool,
    /// HTTP/1.0: knows no chunks.
    pub(crate) is_http_1_0: bool,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestHead {
    /// An empty head whose lists are reused from request to request.
    pub(crate) fn new() -> Self {
        Self {
            length: 0,
            method: Span::default(),
            target: Span::default(),
            host: None,
            fields: Vec::new(),
            connection: Vec::new(),
            body: RequestBody::Length(0),
            expects_continue: false,
            keeps_alive: true,
            is_http_1_0: false,
        }
    }

    /// Parses the head at the beginning of `bytes`; `Ok(false)` when it is not complete yet. `line_start` is the
    /// progress of earlier calls over the same bytes, `0` at first.
    pub(crate) fn parse(&mut self, bytes: &[u8], line_start: &mut usize) -> Result<bool, HeadError> {
        let Some(length) = head_end(bytes, line_start)? else { return Ok(false) };
        let head = &bytes[..length];
        self.length = length;
        let first_line = first_line_end(head);
        self.parse_request_line(head, first_line)?;
        parse_fields(head, first_line + 2, &mut self.fields)?;
        self.interpret(head)?;
        Ok(true)
    }

    /// The path, without the query.
    pub(crate) fn path<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        let target = self.target.of(head);
        target.iter().position(|byte| *byte == b'?').map_or(target, |mark| &target[..mark])
    }

    fn parse_request_line(&mut self, head: &[u8], end: usize) -> Result<(), HeadError> {
        let line = &head[..end];
        let method_end = line.iter().position(|byte| *byte == b' ').ok_or(HeadError::StartLine)?;
        let target_end = line.iter().rposition(|byte| *byte == b' ').ok_or(HeadError::StartLine)?;
        if method_end == 0 || target_end <= method_end + 1 || !line[..method_end].iter().all(|b| is_token_byte(*b)) {
            return Err(HeadError::StartLine);
        }
        self.is_http_1_0 = match &line[target_end + 1..] {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            version if version.starts_with(b"HTTP/") => return Err(HeadError::Version),
            _ => return Err(HeadError::StartLine),
        };
        let target = &line[method_end + 1..target_end];
        // No space, control or non-ASCII byte; a fragment never goes over the wire.
        if !target.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#') {
            return Err(HeadError::StartLine);
        }
        self.method = Span::new(0, method_end);
        self.host = None;
        let mut path = method_end + 1;
        if target[0] != b'/' {
            let scheme = target.iter().position(|byte| *byte == b':').ok_or(HeadError::StartLine)?;
            let is_http = matches!(target[..scheme].to_ascii_lowercase().as_slice(), b"http" | b"https");
            if !is_http || !target[scheme..].starts_with(b"://") {
                return Err(HeadError::StartLine);
            }
            let authority = scheme + 3;
            let slash = target[authority..].iter().position(|byte| *byte == b'/').ok_or(HeadError::StartLine)?;
            self.host = Some(Span::new(path + authority, path + authority + slash));
            path += authority + slash;
        }
        self.target = Span::new(path, target_end);
        Ok(())
    }

    fn interpret(&mut self, head: &[u8]) -> Result<(), HeadError> {
        self.connection.clear();
        self.expects_continue = false;
        self.keeps_alive = !self.is_http_1_0;
        let (mut hosts, mut length, mut chunked) = (0, None, false);
        for field in &self.fields {
            let (name, value) = (field.name.of(head), field.value.of(head));
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") => {
                    hosts += 1;
                    if !is_host(value) {
                        return Err(HeadError::Host);
                    }
                    self.host = self.host.or(Some(field.value));
                }
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(HeadError::Expectation);
                    }
                    // HTTP/1.0 has no interim answers (RFC 9110 §10.1.1).
                    self.expects_continue = !self.is_http_1_0;
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    self.connection.push(field.value);
                    if list(value).any(|option| option.eq_ignore_ascii_case(b"close")) {
                        self.keeps_alive = false;
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    // Two equal ones are refused too: they are either a mistake or an attempt.
                    let number = decimal(value).filter(|_| length.is_none());
                    length = Some(number.ok_or(HeadError::ContentLength)?);
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
        if hosts > 1 || (hosts == 0 && !self.is_http_1_0) {
            return Err(HeadError::Host);
        }
        self.body = match (length, chunked) {
            (Some(_), true) => return Err(HeadError::AmbiguousLength),
            (None, true) if self.is_http_1_0 => return Err(HeadError::AmbiguousLength),
            (None, true) => RequestBody::Chunked,
            (length, false) => RequestBody::Length(length.unwrap_or(0)),
        };
        Ok(())
    }
}

/// Whether the value can be a host with an optional port; empty is allowed by RFC 9112 §3.2.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

#[cfg(test)]
mod tests;
