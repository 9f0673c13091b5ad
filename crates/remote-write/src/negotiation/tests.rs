use super::*;

const V1: &str = "application/x-protobuf";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

#[test]
fn types_that_are_spoken() {
    let cases = [
        (None, Version::V1),
        (Some(""), Version::V1),
        (Some("  "), Version::V1),
        (Some(V1), Version::V1),
        (Some("Application/X-ProtoBuf"), Version::V1),
        (Some("application/x-protobuf;"), Version::V1),
        (Some("application/x-protobuf; ; charset=utf-8"), Version::V1),
        (Some("application/x-protobuf;proto=prometheus.WriteRequest"), Version::V1),
        (Some(V2), Version::V2),
        (Some("application/x-protobuf \t;\t PROTO=io.prometheus.write.v2.Request "), Version::V2),
        (Some("application/x-protobuf; proto=\"io.prometheus.write.v2.Request\""), Version::V2),
        (Some("application/x-protobuf;proto=\"io.prometheus.write.v2.\\Request\""), Version::V2),
        (Some("application/x-protobuf;note=\"a;b=\\\"c\";proto=io.prometheus.write.v2.Request;x=y"), Version::V2),
    ];
    for (content_type, version) in cases {
        assert_eq!(negotiate(content_type, Some("snappy")), Ok(version), "{content_type:?}");
    }
}

#[test]
fn types_that_are_not() {
    let cases = [
        ("application/json", "content type \"application/json\""),
        ("image/png", "content type \"image/png\""),
        ("yolo", "content type \"yolo\""),
        ("application/x-protobuffer", "content type"),
        ("application/x-protobuf,application/x-protobuf", "content type"),
        ("application/x-protobuf;proto=yolo", "protobuf message \"yolo\""),
        ("application/x-protobuf;proto=", "protobuf message \"\""),
        ("application/x-protobuf;proto=IO.Prometheus.Write.V2.Request", "protobuf message"),
        ("application/x-protobuf;proto", "content type"),
        ("application/x-protobuf;proto =x", "content type"),
        ("application/x-protobuf;=x", "content type"),
        ("application/x-protobuf;proto=\"prometheus.WriteRequest", "content type"),
        ("application/x-protobuf;proto=\"prometheus.WriteRequest\"x", "content type"),
        ("application/x-protobuf;proto=prometheus.WriteRequest x", "content type"),
        ("application/x-protobuf;proto=prometheus.WriteRequest;proto=io.prometheus.write.v2.Request", "content type"),
    ];
    for (content_type, text) in cases {
        let error = negotiate(Some(content_type), None).expect_err(content_type);
        assert_eq!(error.kind(), ErrorKind::UnsupportedMedia);
        assert!(error.to_string().starts_with(text), "{content_type}: {error}");
        assert!(error.to_string().contains("proto=io.prometheus.write.v2.Request"), "{error}");
    }
}

#[test]
fn encodings() {
    for encoding in [None, Some(""), Some("snappy"), Some(" Snappy ")] {
        assert_eq!(negotiate(Some(V2), encoding), Ok(Version::V2), "{encoding:?}");
    }
    for encoding in ["gzip", "deflate", "zstd", "identity", "snappy, gzip", "snappy;q=1", "x-snappy-framed"] {
        let error = negotiate(Some(V1), Some(encoding)).expect_err(encoding);
        assert_eq!(
            error.to_string(),
            format!("content encoding {encoding:?} is not spoken here: compress with snappy (block format)")
        );
    }
}

#[test]
fn errors_repeat_only_a_start_of_what_was_sent() {
    let long = "x".repeat(10_000);
    for error in [negotiate(Some(&long), None), negotiate(None, Some(&long))] {
        assert!(error.expect_err("unknown").to_string().len() < 400);
    }
}

#[test]
fn what_we_send_is_understood() {
    for version in [Version::V1, Version::V2] {
        assert_eq!(negotiate(Some(version.content_type()), Some(CONTENT_ENCODING)), Ok(version));
        let named = format!("application/x-protobuf;proto={}", version.message_name());
        assert_eq!(negotiate(Some(&named), None), Ok(version));
    }
}
