//! Header fields as the bytes they came in: strict parsing, no copies.
//!
//! Shared by the heads of requests and of answers. What one party reads as a line end and another does not is how
//! requests get smuggled past a proxy, so lines end in CR LF and nothing else, and folded lines are refused.

/// A piece of the head by offsets, so that it stays valid when the buffer grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let offset = |at: usize| u32::try_from(at).expect("heads are bounded far below 4 GiB");
        Self { start: offset(start), end: offset(end) }
    }

    /// The bytes of `head` this stands for.
    pub(crate) fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }
}

/// One header field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    pub(crate) name: Span,
    /// Without surrounding white space.
    pub(crate) value: Span,
}

/// What is wrong with a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HeadError {
    /// A line feed without carriage return before it, or a carriage return inside a line.
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// The first line is not `METHOD target HTTP/1.x` (or `HTTP/1.x status reason`).
    #[error("the first line is malformed")]
    StartLine,
    /// An HTTP version other than 1.0 and 1.1.
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    /// A field name with characters outside the token alphabet, empty, or with a space before the colon.
    #[error("a header field name is malformed")]
    FieldName,
    /// A control character in a field value.
    #[error("a header field value holds a control character")]
    FieldValue,
    /// A line that continues the one before it.
    #[error("a header field is folded over several lines")]
    Folded,
    /// More fields than `FIELDS_MAX`.
    #[error("there are more than {FIELDS_MAX} header fields")]
    TooManyFields,
    /// No `Host` in HTTP/1.1, several, or one that is not a host.
    #[error("there must be exactly one valid host header field")]
    Host,
    /// `Content-Length` is not one decimal number.
    #[error("content-length is not one decimal number")]
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding`, or the latter in HTTP/1.0.
    #[error("the length of the body is given in two ways")]
    AmbiguousLength,
    /// A transfer coding other than `chunked`.
    #[error("the only transfer-encoding taken is chunked")]
    TransferEncoding,
    /// An expectation other than `100-continue`.
    #[error("the only expectation taken is 100-continue")]
    Expectation,
}

/// The most header fields a head may have.
pub(crate) const FIELDS_MAX: usize = 100;

/// Finds the end of a head (the offset after its empty line) in `bytes`; `Ok(None)` when more bytes are needed.
/// `line_start` is where the last incomplete line begins, `0` at first; it is advanced so that no byte is read twice.
pub(crate) fn head_end(bytes: &[u8], line_start: &mut usize) -> Result<Option<usize>, HeadError> {
    while let Some(length) = bytes[*line_start..].iter().position(|byte| *byte == b'\n') {
        let line_feed = *line_start + length;
        if length == 0 || bytes[line_feed - 1] != b'\r' {
            return Err(HeadError::LineEnd);
        }
        *line_start = line_feed + 1;
        if length == 1 {
            return Ok(Some(line_feed + 1));
        }
    }
    Ok(None)
}

/// Where the first line of a head ends, without its CR LF. A carriage return alone is not an end: it stays in the line,
/// for the line's own rules to refuse.
pub(crate) fn first_line_end(head: &[u8]) -> usize {
    head.iter().position(|byte| *byte == b'\n').map_or(0, |line_feed| line_feed.saturating_sub(1))
}

/// Parses the lines of `head` from `offset` up to its empty line into `fields` (cleared first).
pub(crate) fn parse_fields(head: &[u8], offset: usize, fields: &mut Vec<Field>) -> Result<(), HeadError> {
    fields.clear();
    let mut line_start = offset;
    while let Some(length) = head[line_start..].iter().position(|byte| *byte == b'\n') {
        // `head_end` has seen a carriage return before every line feed.
        let line_end = line_start + length - 1;
        if line_end == line_start {
            return Ok(());
        }
        if fields.len() == FIELDS_MAX {
            return Err(HeadError::TooManyFields);
        }
        fields.push(parse_field(head, line_start, line_end)?);
        line_start = line_end + 2;
    }
    Ok(())
}

fn parse_field(head: &[u8], start: usize, end: usize) -> Result<Field, HeadError> {
    let line = &head[start..end];
    if matches!(line[0], b' ' | b'\t') {
        return Err(HeadError::Folded);
    }
    let colon = line.iter().position(|byte| !is_token_byte(*byte)).ok_or(HeadError::FieldName)?;
    if colon == 0 || line[colon] != b':' {
        return Err(HeadError::FieldName);
    }
    let value = &line[colon + 1..];
    if !value.iter().all(|byte| is_value_byte(*byte)) {
        return Err(HeadError::FieldValue);
    }
    let trimmed = trim(value);
    let leading = value.len() - value.trim_ascii_start().len();
    let value_start = if trimmed.is_empty() { start + colon + 1 } else { start + colon + 1 + leading };
    Ok(Field { name: Span::new(start, start + colon), value: Span::new(value_start, value_start + trimmed.len()) })
}

/// The value of the first field of this name, if it is text.
pub(crate) fn field_text<'a>(fields: &[Field], head: &'a [u8], name: &str) -> Option<&'a str> {
    let named = |field: &&Field| field.name.of(head).eq_ignore_ascii_case(name.as_bytes());
    fields.iter().find(named).and_then(|field| std::str::from_utf8(field.value.of(head)).ok())
}

/// `value` without surrounding spaces and tabs.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    // Of the white space that `trim_ascii` knows, `is_value_byte` lets only spaces and tabs through.
    value.trim_ascii()
}

/// The elements of a comma-separated list.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Reads a decimal number: digits alone, no sign, no list.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// Whether the field belongs to one connection alone (RFC 9110 §7.6.1) and so is not passed on. Those that `Connection`
/// names come on top of these.
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    // Most names are told apart by their length and first letter alone.
    matches!(name.first(), Some(b'c' | b'C' | b'k' | b'K' | b'p' | b'P' | b't' | b'T' | b'u' | b'U'))
        && NAMES.iter().any(|hop| name.eq_ignore_ascii_case(hop.as_bytes()))
}

/// Whether `Connection` fields in `fields` name `name`.
pub(crate) fn is_named_by_connection(head: &[u8], connection: &[Span], name: &[u8]) -> bool {
    connection.iter().any(|value| list(value.of(head)).any(|option| option.eq_ignore_ascii_case(name)))
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let symbols = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < symbols.len() {
            table[symbols[at] as usize] = true;
            at += 1;
        }
        let mut byte = 0;
        while byte < 128 {
            if (byte as u8).is_ascii_alphanumeric() {
                table[byte] = true;
            }
            byte += 1;
        }
        table
    };
    TABLE[byte as usize]
}

fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
