//! Principals that change while the authority runs.

use super::*;

fn ask_secret(bench: &mut Bench, client_id: Uuid, secret: &str) -> (u16, u64) {
    let (status, body) = bench.post(
        &v2(),
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &client_id.to_string()),
            ("scope", "https://monitor.azure.com/.default"),
            ("client_secret", secret),
        ],
    );
    (status, code(&body))
}

fn federated(bench: &mut Bench) -> (u16, u64) {
    let claims = json!({"iss": CLUSTER, "sub": POD, "aud": EXCHANGE, "exp": NOW + 600});
    let token = STRANGER.sign(&json!({"alg": "RS256", "kid": "pod-key"}), &claims);
    let (status, body) = bench.assert(APP, &token);
    (status, code(&body))
}

#[test]
fn principals_are_replaced_without_a_restart() {
    let mut bench = Bench::new();
    let new = Uuid::from_u128(0xD);
    assert_eq!(ask_secret(&mut bench, new, SECRET), (400, 700_016));
    let Config { mut applications, managed_identities, .. } = config();
    let secret = |text: &str| ClientSecret::new(&SecretString::from(text)).unwrap();
    applications[0].secrets = vec![secret("quite another secret")];
    applications.push(Application {
        client_id: new,
        object_id: Uuid::from_u128(0xD0),
        name: "new".to_owned(),
        secrets: vec![secret(SECRET), secret("one that has expired").expiring_at(UnixTime::from_secs(NOW))],
        certificates: Vec::new(),
        federations: Vec::new(),
    });
    let identities = managed_identities.into_iter().skip(1).collect();
    bench.authority.replace_principals(applications, identities).unwrap();
    assert_eq!(ask_secret(&mut bench, new, SECRET).0, 200);
    assert_eq!(ask_secret(&mut bench, new, "one that has expired"), (401, 7_000_222));
    assert_eq!(ask_secret(&mut bench, APP, SECRET), (401, 7_000_215));
    let query = "api-version=2018-02-01&resource=https://monitor.azure.com";
    assert_eq!(bench.imds(&format!("{query}&client_id={IDENTITY}")).0, 400);
    assert_eq!(bench.imds(&format!("{query}&client_id={OTHER_IDENTITY}")).0, 200);
}

#[test]
fn principals_that_share_an_id_replace_nobody() {
    let mut bench = Bench::new();
    let Config { mut applications, .. } = config();
    applications.extend(config().applications);
    assert_eq!(bench.authority.replace_principals(applications, Vec::new()), Err(ConfigError::DuplicateId(APP)));
    assert_eq!(ask_secret(&mut bench, APP, SECRET).0, 200);
}

#[test]
fn one_federation_does_not_touch_another() {
    let mut bench = Bench::new();
    let Config { mut applications, managed_identities, .. } = config();
    let of_cluster = |key_set: Option<&str>, issuer: &str| Federation {
        issuer: issuer.to_owned(),
        subject: POD.to_owned(),
        audience: EXCHANGE.to_owned(),
        key_set: key_set.map(str::to_owned),
    };
    applications.push(Application {
        client_id: Uuid::from_u128(0xE),
        object_id: Uuid::from_u128(0xE0),
        name: "other".to_owned(),
        secrets: Vec::new(),
        certificates: Vec::new(),
        // Keys of its own choice for the same issuer, and an issuer that could be impersonated on the way.
        federations: vec![
            of_cluster(Some("https://elsewhere.example/keys"), CLUSTER),
            of_cluster(None, "http://plain.example"),
        ],
    });
    bench.authority.replace_principals(applications, managed_identities).unwrap();
    assert_eq!(federated(&mut bench), (200, 0));
}
