//! Assertions that applications sign, and those that others sign for them.

use super::*;

#[test]
fn certificates_prove_applications() {
    let (now, long, short) = (NOW, SIGNER.sha256(), SIGNER.sha1());
    let claims = |name: &str, value: Value| {
        let mut claims = json!({
            "aud": format!("{BASE}/{TENANT}/oauth2/v2.0/token"), "iss": APP, "sub": APP, "jti": "j", "nbf": now, "exp": now + 600,
        });
        match (name, value) {
            ("", _) => {}
            (name, Value::Null) => drop(claims.as_object_mut().unwrap().remove(name)),
            (name, value) => claims[name] = value,
        }
        claims
    };
    let good = || claims("", Value::Null);
    let aud = |text: String| claims("aud", json!(text));
    let msal_go = || json!({"alg": "PS256", "typ": "JWT", "x5t#S256": STANDARD.encode(&long)});
    let x5t = |text: String| json!({"alg": "RS256", "typ": "JWT", "x5t": text});
    let upper = short.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    for (name, header, claims, expected) in [
        ("MSAL for Go", msal_go(), good(), 0),
        ("MSAL for Python", x5t(URL_SAFE_NO_PAD.encode(&short)), good(), 0),
        ("x5t padded", x5t(URL_SAFE.encode(&short)), good(), 0),
        ("x5t standard", x5t(STANDARD.encode(&short)), good(), 0),
        ("x5t standard, no padding", x5t(STANDARD_NO_PAD.encode(&short)), good(), 0),
        ("x5t#S256 URL-safe", json!({"alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(&long)}), good(), 0),
        (
            "both, RS256",
            json!({"alg": "RS256", "x5t": URL_SAFE_NO_PAD.encode(&short), "x5t#S256": URL_SAFE.encode(&long), "x5c": ["ignored"]}),
            good(),
            0,
        ),
        ("hexadecimal kid", json!({"alg": "RS256", "kid": upper}), good(), 0),
        ("aud v1", msal_go(), aud(format!("{BASE}/{TENANT}/oauth2/token")), 0),
        ("aud issuer", msal_go(), aud(format!("{BASE}/{TENANT}/v2.0")), 0),
        ("aud v1 issuer", msal_go(), aud(format!("{BASE}/{TENANT}/")), 0),
        ("aud under another name", msal_go(), aud(format!("https://entra.local/{TENANT}/oauth2/v2.0/token")), 0),
        ("aud by directory name", msal_go(), aud(format!("{BASE}/contoso.onmicrosoft.com/oauth2/v2.0/token")), 0),
        ("aud in a list", msal_go(), claims("aud", json!([format!("{BASE}/{TENANT}/oauth2/v2.0/token")])), 0),
        ("no nbf", msal_go(), claims("nbf", Value::Null), 0),
        ("nbf within the leeway", msal_go(), claims("nbf", json!(NOW + 300)), 0),
        ("exp within the leeway", msal_go(), claims("exp", json!(NOW - 299)), 0),
        ("aud of a foreign host", msal_go(), aud(format!("https://evil.example/{TENANT}/oauth2/v2.0/token")), 700_023),
        ("aud of a foreign directory", msal_go(), aud(format!("{BASE}/{APP}/oauth2/v2.0/token")), 700_023),
        ("aud elsewhere", msal_go(), aud(format!("{BASE}/{TENANT}/x")), 700_023),
        ("aud no URL", msal_go(), aud(EXCHANGE.to_owned()), 700_023),
        ("nbf too far", msal_go(), claims("nbf", json!(NOW + 301)), 700_024),
        ("expired", msal_go(), claims("exp", json!(NOW - 300)), 700_024),
        ("no exp", msal_go(), claims("exp", Value::Null), 50_027),
        ("no sub", msal_go(), claims("sub", Value::Null), 700_021),
        ("another sub", msal_go(), claims("sub", json!(IDENTITY)), 700_021),
        ("another iss", msal_go(), claims("iss", json!(IDENTITY)), 700_211),
        ("no thumbprint", json!({"alg": "PS256"}), good(), 700_027),
        (
            "thumbprint of another",
            json!({"alg": "PS256", "x5t#S256": STANDARD.encode(STRANGER.sha256())}),
            good(),
            700_027,
        ),
        ("thumbprint no base64", json!({"alg": "PS256", "x5t#S256": "?"}), good(), 700_027),
        (
            "SHA-1 fits, SHA-256 does not",
            json!({"alg": "PS256", "x5t": STANDARD.encode(&short), "x5t#S256": "AAAA"}),
            good(),
            700_027,
        ),
        ("another algorithm than signed with", json!({"alg": "RS512", "x5t": STANDARD.encode(&short)}), good(), 50_027),
        ("none", json!({"alg": "none", "x5t": STANDARD.encode(&short)}), good(), 50_027),
        ("HMAC", json!({"alg": "HS256", "x5t": STANDARD.encode(&short)}), good(), 50_027),
    ] {
        let (status, body) = Bench::new().assert(APP, &SIGNER.sign(&header, &claims));
        assert_eq!((status == 200, code(&body)), (expected == 0, expected), "{name}: {body}");
        if expected == 0 {
            assert_eq!(payload(body["access_token"].as_str().unwrap())["appidacr"], "2", "{name}");
        }
    }
    let forged = STRANGER.sign(&msal_go(), &good());
    assert_eq!(code(&Bench::new().assert(APP, &forged).1), 700_027, "our thumbprint, another's signature");
    let mut bench = Bench::new();
    let again = SIGNER.sign(&msal_go(), &good());
    assert_eq!((bench.assert(APP, &again).0, bench.assert(APP, &again).0), (200, 200), "MSAL for Python re-uses them");
    for broken in ["x", "a.b.c", &format!("{again}A")] {
        let refused = Bench::new().assert(APP, broken).1;
        assert!(matches!(code(&refused), 50_027 | 700_027), "{refused}");
        assert!(broken.len() < 9 || !refused.to_string().contains(broken));
    }
}

#[test]
fn an_expired_certificate_proves_nothing() {
    let expired = Signer::valid("expired", NOW - 1000, NOW - 1);
    let mut config = config();
    config.applications[0].certificates = vec![expired.certificate()];
    let header = json!({"alg": "PS256", "x5t#S256": STANDARD.encode(expired.sha256())});
    let claims = json!({"aud": format!("{BASE}/{TENANT}/v2.0"), "iss": APP, "sub": APP, "exp": NOW + 600});
    let (status, body) = Bench::with(config, cluster_web()).assert(APP, &expired.sign(&header, &claims));
    assert_eq!((status, code(&body)), (401, 700_027));
    assert!(body["error_description"].as_str().unwrap().contains("expired"), "{body}");
}

#[test]
fn federated_tokens_prove_applications() {
    let header = json!({"alg": "RS256", "kid": "pod-key"});
    let claims = |name: &str, value: Value| {
        let mut claims =
            json!({"iss": CLUSTER, "sub": POD, "aud": [EXCHANGE], "iat": NOW, "nbf": NOW, "exp": NOW + 3600});
        if !name.is_empty() {
            claims[name] = value;
        }
        claims
    };
    for (name, claims, expected) in [
        ("good", claims("", Value::Null), 0),
        ("one audience", claims("aud", json!(EXCHANGE)), 0),
        ("issuer with a slash", claims("iss", json!(format!("{CLUSTER}/"))), 700_211),
        ("issuer in other case", claims("iss", json!(CLUSTER.to_uppercase())), 700_211),
        ("another subject", claims("sub", json!("system:serviceaccount:monitoring:default")), 700_213),
        ("subject in other case", claims("sub", json!(POD.to_uppercase())), 700_213),
        ("subject of another application", claims("sub", json!("system:serviceaccount:monitoring:other")), 700_213),
        ("no subject", claims("sub", Value::Null), 700_213),
        ("another audience", claims("aud", json!(["https://kubernetes.default.svc"])), 700_212),
        ("audience with a slash", claims("aud", json!([format!("{EXCHANGE}/")])), 700_212),
        ("expired", claims("exp", json!(NOW - 300)), 700_024),
        ("not begun", claims("nbf", json!(NOW + 301)), 700_024),
    ] {
        let (status, body) = Bench::new().assert(APP, &STRANGER.sign(&header, &claims));
        assert_eq!((status == 200, code(&body)), (expected == 0, expected), "{name}: {body}");
    }
    let good = claims("", Value::Null);
    let forged = SIGNER.sign(&header, &good);
    assert_eq!(code(&Bench::new().assert(APP, &forged).1), 700_027, "another's key under the issuer's name");
    let unknown = STRANGER.sign(&json!({"alg": "RS256", "kid": "no-key"}), &good);
    assert_eq!(code(&Bench::new().assert(APP, &unknown).1), 700_027);
    let other = STRANGER.sign(&header, &claims("sub", json!("system:serviceaccount:monitoring:other")));
    let (status, body) = Bench::new().assert(IDENTITY, &other);
    assert_eq!((status, &payload(body["access_token"].as_str().unwrap())["oid"]), (200, &json!(IDENTITY_OBJECT)));
}

#[test]
fn an_issuer_that_is_away_is_not_the_clients_fault() {
    let away = ScriptedHttp::new(|_| Err(HttpError::new(environment::HttpErrorKind::Connect, "nothing listens")));
    let claims = json!({"iss": CLUSTER, "sub": POD, "aud": [EXCHANGE], "exp": NOW + 3600});
    let assertion = STRANGER.sign(&json!({"alg": "RS256", "kid": "pod-key"}), &claims);
    let (status, body) = Bench::with(config(), away).assert(APP, &assertion);
    assert_eq!((status, code(&body), body["error"].as_str()), (503, 50_166, Some("temporarily_unavailable")));
}

#[test]
fn workload_tokens_need_no_network() {
    let nobody = ScriptedHttp::new(|_| panic!("no HTTP is needed"));
    let mut bench = Bench::with(config(), nobody);
    let token = bench.authority.issue_workload_token(POD, EXCHANGE, Duration::from_secs(3600)).unwrap();
    assert_eq!(bench.assert(APP, &token).0, 200);
    let other = bench.authority.issue_workload_token("system:serviceaccount:a:b", EXCHANGE, Duration::from_secs(3600));
    assert_eq!(code(&bench.assert(APP, &other.unwrap()).1), 700_213);
    let (status, document) = bench.get("/workload/.well-known/openid-configuration");
    assert_eq!((status, &document["issuer"]), (200, &json!(format!("{BASE}/workload"))));
    let jwks = document["jwks_uri"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    let keys = KeySet::from_jwks(bench.get(&jwks).1.to_string().as_bytes()).unwrap();
    let jws = Jws::parse(&token, 16_384).unwrap();
    let key = keys.find(jws.header().key_id.as_deref(), jws.header().algorithm).unwrap();
    assert!(key.verifies(jws.header().algorithm, jws.signed(), jws.signature()));
    let own = bench.get(&format!("/{TENANT}/discovery/keys")).1;
    assert_ne!(bench.get(&jwks).1, own, "the two issuers share no key");

    let mut without = config();
    without.workload_issuer = false;
    without.applications[0].federations.clear();
    let mut bench = Bench::with(without, cluster_web());
    assert_eq!(bench.authority.issue_workload_token(POD, EXCHANGE, Duration::from_secs(60)), None);
    assert_eq!(bench.get("/workload/openid/v1/jwks").0, 404);
}
