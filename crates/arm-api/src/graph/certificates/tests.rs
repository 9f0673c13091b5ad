use catalog::{ActorKind, Stamp};
use serde_json::json;
use testkit::SeededRng;

use super::*;

/// Self-signed, for a hundred years from 2026 on.
pub(in crate::graph) const CERTIFICATE: &str = "MIIBhDCCASmgAwIBAgIUHqB3Uc5vGGJjUIk71fKnXQOhNd8wCgYIKoZIzj0EAwIwFjEUMBIGA1UEAwwLcmVtb3JhLXRlc3QwIBcNMjYxMTIzMTIzMTQ4WhgPMjEyNjEwMzAxMjMxNDhaMBYxFDASBgNVBAMMC3JlbW9yYS10ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEptIFWJWFjMpuXZxkzX0YyD6GZfRG3umZ7AVgVw2y2Omw/eZFLVg+HkuUFQp+czEuaamwSkJnv+4RnUYTKem1v6NTMFEwHQYDVR0OBBYEFDgk5SZbSVlW9++hrX17keTucRpgMB8GA1UdIwQYMBaAFDgk5SZbSVlW9++hrX17keTucRpgMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAIb1zi+Az0stIFBZ4M4FQwVcQpaYW8/O1U4J+ve9lw05AiEAyLT1oeaGw08rvGylD8MGHxSFcLbUF4T2skGxGnExevc=";
const NOT_BEFORE: i64 = 1795437108;
const NOT_AFTER: i64 = 4949037108;

fn application(known: &[(u128, &str)]) -> Application {
    let certificate = |(id, name): &(u128, &str)| ApplicationCertificate {
        key_id: Uuid::from_u128(*id),
        name: (*name).to_owned(),
        der_base64: CERTIFICATE.to_owned(),
    };
    Application {
        client_id: Uuid::nil(),
        application_object_id: Uuid::nil(),
        object_id: Uuid::nil(),
        name: "a".to_owned(),
        created: Stamp { by: String::new(), kind: ActorKind::Key, at_ms: 0 },
        etag: String::new(),
        secrets: Vec::new(),
        certificates: known.iter().map(certificate).collect(),
        federations: Vec::new(),
    }
}

#[test]
fn certificates() {
    let read = Certificate::parse(CERTIFICATE).unwrap();
    let expected = Certificate {
        thumbprint: "1BFE788843535C9C2734EA2D90699FC40393E24F".to_owned(),
        not_before: NOT_BEFORE,
        not_after: NOT_AFTER,
    };
    assert_eq!(read, expected);
    let twice = STANDARD.encode(STANDARD.decode(CERTIFICATE).unwrap().repeat(2));
    let long = "A".repeat(CERTIFICATE_BYTES_MAX + 1);
    for text in ["", "AAAA", "no base64", "LS0tLS1CRUdJTg==", &CERTIFICATE[..200], &twice, &long] {
        assert!(Certificate::parse(text).is_err(), "{}", &text[..text.len().min(40)]);
    }
}

#[test]
fn differences() {
    let (rng, application) = (SeededRng::new(1), application(&[(1, "one"), (2, "two")]));
    let one = Uuid::from_u128(1);
    let lines = format!("{}\n{}\r\n", &CERTIFICATE[..64], &CERTIFICATE[64..]);
    let list = json!([
        { "keyId": one, "key": null, "displayName": "one" },
        { "key": lines, "type": "AsymmetricX509Cert", "usage": "Verify", "displayName": "new" },
    ]);
    let found = difference(&list, Some(&application), &rng, NOT_BEFORE).unwrap();
    assert_eq!(found.remove, [Uuid::from_u128(2)]);
    assert_eq!(found.add.iter().map(|added| added.name.as_str()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(found.add[0].der_base64, CERTIFICATE, "ends of lines are left out");
    let none = difference(&json!([]), Some(&application), &rng, NOT_BEFORE).unwrap();
    assert_eq!((none.add.len(), none.remove.len()), (0, 2));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let list = json!([
        { "key": CERTIFICATE, "type": "Symmetric" },
        { "key": "AAAA" },
        { "keyId": Uuid::from_u128(9), "key": null },
        { "key": CERTIFICATE },
    ]);
    let rng = SeededRng::new(1);
    let targets = |list: &Value, now_secs| -> Vec<String> {
        let problems = difference(list, None, &rng, now_secs).unwrap_err();
        problems.into_iter().map(|problem| problem.target).collect()
    };
    assert_eq!(
        targets(&list, NOT_BEFORE),
        ["keyCredentials[0].type", "keyCredentials[1].key", "keyCredentials[2].key"]
    );
    assert_eq!(targets(&list, NOT_AFTER).last().unwrap(), "keyCredentials[3].key");
    assert_eq!(targets(&json!("x"), 0), ["keyCredentials"]);
    assert_eq!(targets(&Value::Array(vec![json!({ "key": CERTIFICATE }); 21]), 0), ["keyCredentials"]);
}
