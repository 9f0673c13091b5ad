use super::*;

fn parse(text: &str) -> Result<Option<RequestHead>, HeadError> {
    let mut head = RequestHead::new();
    Ok(head.parse(text.as_bytes(), &mut 0)?.then_some(head))
}

#[test]
fn a_head_is_complete_with_its_empty_line_and_not_before() {
    let text = "POST /w?x=1 HTTP/1.1\r\nHost: a:1\r\ncontent-LENGTH:  12 \r\nConnection: x, Close\r\n\r\nbody";
    let end = text.find("body").unwrap();
    for length in 0..end {
        assert!(parse(&text[..length]).unwrap().is_none(), "{length}");
    }
    let head = parse(text).unwrap().unwrap();
    let bytes = text.as_bytes();
    assert_eq!((head.length, head.body, head.keeps_alive), (end, RequestBody::Length(12), false));
    assert_eq!(
        (head.method.of(bytes), head.target.of(bytes), head.path(bytes)),
        (&b"POST"[..], &b"/w?x=1"[..], &b"/w"[..])
    );
    assert_eq!(head.host.map(|host| host.of(bytes)), Some(&b"a:1"[..]));
    assert_eq!(head.fields[1].value.of(bytes), b"12");
}

#[test]
fn progress_is_the_same_however_the_bytes_come() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n";
    let (mut head, mut line_start) = (RequestHead::new(), 0);
    for length in 0..text.len() {
        assert!(!head.parse(&text.as_bytes()[..length], &mut line_start).unwrap(), "{length}");
    }
    assert!(head.parse(text.as_bytes(), &mut line_start).unwrap());
    assert_eq!((head.length, head.fields.len()), (text.len(), 2));
    assert!(head.fields[1].value.of(text.as_bytes()).is_empty());
}

#[test]
fn an_absolute_target_is_path_and_host() {
    let text = "GET http://b:2/p?q HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = parse(text).unwrap().unwrap();
    assert_eq!(head.target.of(text.as_bytes()), b"/p?q");
    assert_eq!(head.host.map(|host| host.of(text.as_bytes())), Some(&b"b:2"[..]));
    for target in ["ftp://b/p", "http:/b/p", "http://b", "*", "b:1", "/a b", "/a\u{e9}", "/a#b", "/a\tb"] {
        assert!(parse(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).is_err(), "{target:?}");
    }
}

#[test]
fn what_makes_a_head_wrong() {
    use HeadError::*;
    for (lines, error) in [
        ("GET / HTTP/1.1\nHost: a\n\n", LineEnd),
        ("\n", LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", LineEnd),
        ("GET / HTTP/1.1\r\n\r\n", Host),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", StartLine),
        ("GET /\r\nHost: a\r\n\r\n", StartLine),
        (" / HTTP/1.1\r\nHost: a\r\n\r\n", StartLine),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Version),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", StartLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", StartLine),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", Folded),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX;: b\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", FieldValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", FieldValue),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Host),
    ] {
        assert_eq!(parse(lines).unwrap_err(), error, "{lines:?}");
    }
}
