//! What must hold for any input. Shared with the fuzz targets; answers whether the input is taken.

use query_api::reading;

/// A path, a query string and a header's value on a line each, then a form.
pub(crate) fn query_request(input: &[u8]) -> bool {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, query, header, form) = (part(), part(), part(), part());
    let (Ok(path), Ok(query)) = (std::str::from_utf8(path), std::str::from_utf8(query)) else { return false };
    reading::request(path, query, form, header)
}

/// The message of a remote read.
pub(crate) fn query_remote_read(input: &[u8]) -> bool {
    reading::remote_read(input)
}
