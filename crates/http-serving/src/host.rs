//! The host that a request was sent to.

use http::header::HOST;
use http::{HeaderMap, Uri};

/// The host as the client named it: of an absolute URI (HTTP/2 always has one), else of the `Host` header, perhaps with a port
/// behind it. `None` when there is none, or it is no text.
pub fn host_of<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    uri.host().or_else(|| headers.get(HOST)?.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_decides_before_the_header() {
        for (uri, header, expected) in [
            ("/path", Some("a.example.org:8443"), Some("a.example.org:8443")),
            ("http://b.example.org:80/path", Some("a.example.org"), Some("b.example.org")),
            ("/path", Some("\u{e4}"), None),
            ("/path", None, None),
        ] {
            let mut request = http::Request::get(uri);
            if let Some(header) = header {
                request = request.header(HOST, header);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(host_of(&head.uri, &head.headers), expected, "{uri} {header:?}");
        }
    }
}
