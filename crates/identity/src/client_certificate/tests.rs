use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use testkit::json_response;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::test_support::{CLIENT, START, TOKEN_ENDPOINT, World, application, discovery_document, token_answer};

const PATH: &str = "/mnt/secrets-store/cert";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn world() -> (World, Arc<dyn Credential>) {
    let world = World::new(|request| match request.method().as_str() {
        "GET" => Ok(json_response(200, discovery_document())),
        _ => Ok(token_answer("t", 3599)),
    });
    let environment = world.environment.clone();
    let credential = ClientCertificate::new(application(), PATH.into(), None, environment);
    (world, Arc::new(credential))
}

/// The last assertion sent, its signature checked with the certificate that it carries.
fn last_assertion(world: &World) -> (Value, Value) {
    let requests = world.http.requests();
    let body = requests.iter().rev().find(|request| request.method() == "POST").unwrap().body();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["grant_type", "client_id", "scope", "client_info", "client_assertion_type", "client_assertion"];
    assert_eq!(names, expected);
    assert_eq!(form[4].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (signed, signature) = form[5].1.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    let leaf = STANDARD.decode(header["x5c"][0].as_str().unwrap()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&leaf).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &certificate.public_key().subject_public_key.data);
    key.verify(signed.as_bytes(), &decode(signature)).expect("signed with the key of the certificate");
    let thumbprint = STANDARD.encode(digest::digest(&digest::SHA256, &leaf));
    assert_eq!(header["x5t#S256"], thumbprint);
    (header, serde_json::from_slice(&decode(claims)).unwrap())
}

#[test]
fn the_assertion_is_that_of_the_contract() {
    let (mut world, credential) = world();
    world.files.put(PATH, fixture("p12_in_base64_lines.txt"));
    assert_eq!(world.fetch(&credential).unwrap().secret(), "t");
    let (header, claims) = last_assertion(&world);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("JWT")));
    assert_eq!(header["x5c"].as_array().unwrap().len(), 3);
    assert!(header["x5t#S256"].as_str().unwrap().ends_with('='));
    assert_eq!(claims["aud"], TOKEN_ENDPOINT);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT), &json!(CLIENT)));
    assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(START), &json!(START + 600)));
    let jti = claims["jti"].as_str().unwrap().to_owned();
    assert_eq!((jti.len(), &jti[14..15]), (36, "4"));
    world.fetch(&credential).unwrap();
    assert_ne!(last_assertion(&world).1["jti"], jti.as_str());
}

#[test]
fn a_rotated_certificate_is_used_at_the_next_exchange() {
    let (mut world, credential) = world();
    world.files.put(PATH, fixture("pem_shuffled.pem"));
    world.fetch(&credential).unwrap();
    let first = last_assertion(&world).0;
    world.files.put(PATH, fixture("pem_two_pairs.pem"));
    world.fetch(&credential).unwrap();
    assert_ne!(last_assertion(&world).0["x5t#S256"], first["x5t#S256"]);
}

#[test]
fn the_old_certificate_serves_while_the_new_file_is_broken() {
    let (mut world, credential) = world();
    world.files.put(PATH, fixture("pem_shuffled.pem"));
    world.fetch(&credential).unwrap();
    let first = last_assertion(&world).0;
    for broken in [&b""[..], b"garbage", &fixture("bad_pem_key_of_another.pem"), &fixture("pem_expired.pem")] {
        world.files.put(PATH, broken);
        world.fetch(&credential).unwrap();
        assert_eq!(last_assertion(&world).0["x5t#S256"], first["x5t#S256"]);
    }
    world.files.remove(PATH);
    world.fetch(&credential).unwrap();
    // Not for ever: once the old one has expired too, the file's own trouble is told.
    world.simulation.clock().suspend(Duration::from_secs(120 * 365 * 86_400));
    let error = world.fetch(&credential).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn an_expired_certificate_is_refused_before_anything_is_sent() {
    let (mut world, credential) = world();
    world.files.put(PATH, fixture("pem_expired.pem"));
    let error = world.fetch(&credential).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (TokenErrorKind::Local, false));
    assert!(
        error.to_string().contains(&format!("certificate file {PATH}: the certificate expired 2570 days ago")),
        "{error}"
    );
    assert!(error.mend().unwrap().contains("renew"), "{error}");
    assert_eq!(world.http.request_count(), 0);
    // Rotation mends it.
    world.files.put(PATH, fixture("pem_shuffled.pem"));
    world.fetch(&credential).unwrap();
}

#[test]
fn a_certificate_from_the_future_points_at_the_clock() {
    let (mut world, credential) = world();
    world.files.put(PATH, fixture("pem_shuffled.pem"));
    world.simulation.clock().set_wall(UnixTime::from_secs(1_000_000_000));
    let error = world.fetch(&credential).unwrap_err();
    assert!(error.to_string().contains("not valid for another") && error.mend().unwrap().contains("clock"), "{error}");
}

#[test]
fn what_is_wrong_with_the_file_is_told_with_its_path() {
    let (mut world, credential) = world();
    for (name, part) in
        [("bad_pem_no_key.pem", "no private key"), ("p12_modern_hunter2.pfx", "AZURE_CLIENT_CERTIFICATE_PASSWORD")]
    {
        world.files.put(PATH, fixture(name));
        let text = world.fetch(&credential).unwrap_err().to_string();
        assert!(text.contains(PATH) && text.contains(part), "{text}");
    }
}
