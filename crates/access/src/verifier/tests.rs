use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use aws_lc_rs::hmac;
use environment::{HttpError, HttpErrorKind};
use model::{ErrorKind, Kinded as _};
use serde_json::{Value, json};
use testkit::{ManualClock, ScriptedHttp, Simulation, json_response, response};

use super::*;
use crate::KeySet;
use crate::signing::{SigningKey, b64, jwks};

const NOW: i64 = 1_750_000_000;
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const OBJECT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const MONITOR: [&str; 1] = ["https://monitor.azure.com"];
const V1: &str = "https://sts.windows.net/11111111-2222-3333-4444-555555555555/";
const V2: &str = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0";
const OIDC: &str = "https://idp.example/realms/a";

/// Making a key takes a tenth of a second: all tests share these.
static ENTRA: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("entra-1"));
static ENTRA_NEXT: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("entra-2"));
static OTHER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::rsa("other-1"));
static CURVE: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ec("curve-1"));

fn entra_claims() -> Value {
    json!({
        "aud": "https://monitor.azure.com/", "iss": V1, "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 3600,
        "appid": "99999999-0000-0000-0000-000000000000", "appidacr": "2", "idtyp": "app", "oid": OBJECT, "sub": OBJECT,
        "tid": TENANT, "uti": "x", "ver": "1.0",
    })
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "entra-1"})
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

/// The documents of an Entra directory and of another issuer, by URL; tests change them.
#[derive(Clone)]
struct Web(Arc<Mutex<HashMap<String, (u16, String)>>>);

impl Web {
    fn new() -> Self {
        let web = Self(Arc::default());
        let entra = format!("https://login.microsoftonline.com/{TENANT}");
        let keys = format!("{entra}/discovery/v2.0/keys");
        let v1_keys = "https://login.microsoftonline.com/common/discovery/keys".to_owned();
        web.put(
            &format!("{entra}/v2.0/.well-known/openid-configuration"),
            json!({"issuer": V2, "jwks_uri": keys}).to_string(),
        );
        web.put(
            &format!("{entra}/.well-known/openid-configuration"),
            json!({"issuer": V1, "jwks_uri": v1_keys}).to_string(),
        );
        web.put(&keys, jwks([&*ENTRA]));
        web.put(&v1_keys, jwks([&*ENTRA]));
        web.put(
            &format!("{OIDC}/.well-known/openid-configuration"),
            json!({"issuer": OIDC, "jwks_uri": format!("{OIDC}/keys")}).to_string(),
        );
        web.put(&format!("{OIDC}/keys"), jwks([&*OTHER, &*CURVE]));
        web
    }

    fn put(&self, url: &str, body: String) {
        self.0.lock().unwrap().insert(url.to_owned(), (200, body));
    }

    fn publish(&self, keys: String) {
        self.put(&format!("https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"), keys.clone());
        self.put("https://login.microsoftonline.com/common/discovery/keys", keys);
    }

    fn fail_all(&self, status: u16) {
        self.0.lock().unwrap().values_mut().for_each(|answer| answer.0 = status);
    }

    fn client(&self) -> ScriptedHttp {
        let web = self.clone();
        ScriptedHttp::new(move |request| match web.0.lock().unwrap().get(&request.uri().to_string()) {
            Some((0, _)) => Err(HttpError::new(HttpErrorKind::Connect, "nothing listens")),
            Some((status, body)) => Ok(json_response(*status, body.clone())),
            None => Ok(response(404, "")),
        })
    }
}

struct Bench {
    simulation: Simulation,
    web: Web,
    http: ScriptedHttp,
    verifier: Arc<Verifier>,
}

impl Bench {
    fn new() -> Self {
        Self::with_settings(VerifierSettings::default())
    }

    fn with_settings(settings: VerifierSettings) -> Self {
        let simulation = Simulation::new(UnixTime::from_secs(NOW));
        let (web, clock) = (Web::new(), Arc::new(simulation.clock()));
        let http = web.client();
        let issuers =
            [Issuer::entra_tenant("https://login.microsoftonline.com", TENANT).unwrap(), Issuer::openid(OIDC).unwrap()];
        let verifier = Verifier::with_settings(issuers, Arc::new(http.clone()), clock, settings).unwrap();
        Self { simulation, web, http, verifier: Arc::new(verifier) }
    }

    fn verify(&mut self, token: &str) -> Result<Arc<Principal>, TokenRefused> {
        self.verify_for(token, &MONITOR)
    }

    fn verify_for(&mut self, token: &str, audiences: &'static [&'static str]) -> Result<Arc<Principal>, TokenRefused> {
        let (verifier, token) = (Arc::clone(&self.verifier), token.to_owned());
        self.simulation.block_on(async move { verifier.verify(&token, audiences).await })
    }
}

#[test]
fn good_tokens() {
    let azp = with(without(entra_claims(), "appid"), "azp", json!("client"));
    let oidc = json!({"iss": OIDC, "aud": ["account", "https://monitor.azure.com"], "exp": NOW + 60, "sub": "u-1"});
    for (name, key, header, claims) in [
        ("v1", &*ENTRA, header(), entra_claims()),
        ("v2", &*ENTRA, header(), with(azp, "iss", json!(V2))),
        ("fractional times", &*ENTRA, header(), with(entra_claims(), "exp", json!(NOW as f64 + 0.5))),
        ("times absurdly far", &*ENTRA, header(), with(entra_claims(), "exp", json!(1e300))),
        ("no nbf", &*ENTRA, header(), without(entra_claims(), "nbf")),
        ("no typ", &*ENTRA, without(header(), "typ"), entra_claims()),
        ("typ of RFC 9068", &*ENTRA, with(header(), "typ", json!("at+JWT")), entra_claims()),
        ("RS384", &*ENTRA, with(header(), "alg", json!("RS384")), entra_claims()),
        ("RS512", &*ENTRA, with(header(), "alg", json!("RS512")), entra_claims()),
        ("PS256", &*ENTRA, with(header(), "alg", json!("PS256")), entra_claims()),
        ("PS384", &*ENTRA, with(header(), "alg", json!("PS384")), entra_claims()),
        ("PS512", &*ENTRA, with(header(), "alg", json!("PS512")), entra_claims()),
        ("no kid, one key", &*ENTRA, without(header(), "kid"), entra_claims()),
        ("bare audience", &*ENTRA, header(), with(entra_claims(), "aud", json!("https://monitor.azure.com"))),
        ("OpenID, RSA", &*OTHER, json!({"alg": "RS256", "kid": "other-1"}), oidc.clone()),
        ("OpenID, EC", &*CURVE, json!({"alg": "ES256", "kid": "curve-1"}), oidc),
    ] {
        let mut bench = Bench::new();
        let token = key.token(&header, &claims);
        let principal = bench.verify(&token).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let again = bench.verify(&token).unwrap_or_else(|refused| panic!("{name}, again: {refused}"));
        assert_eq!(principal, again, "{name}");
        assert_eq!(bench.verifier.statistics().cache_hits, 1, "{name}");
    }
}

#[test]
fn principals() {
    let mut bench = Bench::new();
    let id = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/sender";
    let claims = with(entra_claims(), "xms_mirid", json!(id));
    let claims = with(claims, "oid", json!(OBJECT.to_ascii_uppercase()));
    let principal = bench.verify(&ENTRA.token(&header(), &claims)).unwrap();
    assert_eq!(principal.object_id, OBJECT);
    assert_eq!(principal.app_id.as_deref(), Some("99999999-0000-0000-0000-000000000000"));
    assert_eq!(principal.tenant_id.as_deref(), Some(TENANT));
    assert_eq!(principal.mi_resource_id.as_ref().unwrap().to_string(), id);
    assert_eq!((&*principal.issuer, &*principal.name), (V2, "sender"));

    let claims = json!({"iss": OIDC, "aud": "https://monitor.azure.com", "exp": NOW + 60, "sub": "u-1",
        "preferred_username": "ann\u{1b}[31m\n"});
    let principal = bench.verify(&OTHER.token(&json!({"alg": "RS256", "kid": "other-1"}), &claims)).unwrap();
    assert_eq!((&*principal.object_id, &*principal.issuer, &*principal.name), ("u-1", OIDC, "ann[31m"));
}

/// Every way in that should be closed, with the reason that is counted.
#[test]
fn refusals() {
    let good = ENTRA.token(&header(), &entra_claims());
    let parts: Vec<&str> = good.split('.').collect();
    let hmac_signed = |secret: &[u8]| {
        let signed = format!("{}.{}", b64(r#"{"alg":"HS256","kid":"entra-1"}"#), parts[1]);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", b64(tag))
    };
    let raw = |header: &str, payload: &str| {
        let signed = format!("{}.{}", b64(header), b64(payload));
        format!("{signed}.{}", b64(ENTRA.sign("RS256", signed.as_bytes())))
    };
    let plain_header = r#"{"alg":"RS256","kid":"entra-1"}"#;
    let claims_text = entra_claims().to_string();
    let claim = |name: &str, value: Value| ENTRA.token(&header(), &with(entra_claims(), name, value));
    let lacking = |name: &str| ENTRA.token(&header(), &without(entra_claims(), name));
    let head = |name: &str, value: Value| ENTRA.token(&with(header(), name, value), &entra_claims());
    let mut flipped = parts[2].to_owned().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    // 256 bytes of signature end in a character with four unused bits: the next one decodes to the same bytes, loosely.
    let last = parts[2].chars().last().unwrap();
    let unused_bits = char::from(last as u8 + 1);
    let noncanonical = format!("{}.{}.{}{unused_bits}", parts[0], parts[1], &parts[2][..parts[2].len() - 1]);

    for (name, token, reason) in [
        ("no token", String::new(), "missing"),
        ("a word", "hunter2".to_owned(), "malformed"),
        ("one part gone", format!("{}.{}", parts[0], parts[1]), "malformed"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "bad_signature"),
        ("no payload", format!("{}..{}", parts[0], parts[2]), "malformed"),
        ("no header", format!(".{}.{}", parts[1], parts[2]), "malformed"),
        ("four parts", format!("{good}.{}", parts[2]), "malformed"),
        ("encrypted, five parts", format!("{}.a.b.c.d", parts[0]), "malformed"),
        ("cut signature", good[..good.len() - 6].to_owned(), "bad_signature"),
        (
            "changed signature",
            format!("{}.{}.{}", parts[0], parts[1], String::from_utf8(flipped).unwrap()),
            "bad_signature",
        ),
        (
            "changed payload",
            format!("{}.{}.{}", parts[0], b64(claim("ver", json!("9")).split('.').nth(1).unwrap()), parts[2]),
            "malformed",
        ),
        (
            "payload of another",
            format!("{}.{}.{}", parts[0], claim("oid", json!("someone")).split('.').nth(1).unwrap(), parts[2]),
            "bad_signature",
        ),
        ("padded", format!("{good}=="), "malformed"),
        ("unused bits set", noncanonical, "malformed"),
        ("standard alphabet", format!("{}.{}.{}+/", parts[0], parts[1], &parts[2][2..]), "malformed"),
        ("space before", format!(" {good}"), "malformed"),
        ("line feed after", format!("{good}\n"), "malformed"),
        ("beyond ASCII", format!("{good}é"), "malformed"),
        ("too long", format!("{good}{}", "A".repeat(16 * 1024)), "too_long"),
        ("header no JSON", raw("{", &claims_text), "malformed"),
        ("header a list", raw("[]", &claims_text), "malformed"),
        ("alg missing", raw("{}", &claims_text), "malformed"),
        ("alg twice", raw(r#"{"alg":"none","alg":"RS256","kid":"entra-1"}"#, &claims_text), "malformed"),
        ("alg a number", raw(r#"{"alg":256}"#, &claims_text), "malformed"),
        ("alg none, signature left", raw(r#"{"alg":"none"}"#, &claims_text), "algorithm"),
        ("alg none, no signature", format!("{}.{}.", b64(r#"{"alg":"none"}"#), parts[1]), "algorithm"),
        ("alg None", format!("{}.{}.", b64(r#"{"alg":"None"}"#), parts[1]), "algorithm"),
        ("alg empty", raw(r#"{"alg":""}"#, &claims_text), "algorithm"),
        ("alg in lower case", raw(r#"{"alg":"rs256","kid":"entra-1"}"#, &claims_text), "algorithm"),
        ("HMAC with the modulus", hmac_signed(&ENTRA.modulus()), "algorithm"),
        ("HMAC with the key set", hmac_signed(jwks([&*ENTRA]).as_bytes()), "algorithm"),
        ("HMAC with nothing", hmac_signed(b""), "algorithm"),
        ("algorithm of another key type", head("alg", json!("ES256")), "unknown_key"),
        ("algorithm not signed with", raw(r#"{"alg":"PS256","kid":"entra-1"}"#, &claims_text), "bad_signature"),
        ("crit", raw(r#"{"alg":"RS256","kid":"entra-1","crit":["b64"],"b64":false}"#, &claims_text), "malformed"),
        ("crit null", raw(r#"{"alg":"RS256","kid":"entra-1","crit":null}"#, &claims_text), "malformed"),
        ("a logout token", head("typ", json!("logout+jwt")), "malformed"),
        ("kid a number", head("kid", json!(5)), "malformed"),
        ("kid unknown", head("kid", json!("entra-9")), "unknown_key"),
        ("kid of another issuer, own key", head("kid", json!("other-1")), "unknown_key"),
        (
            "key of another issuer",
            OTHER.token(&json!({"alg": "RS256", "kid": "other-1"}), &entra_claims()),
            "unknown_key",
        ),
        ("key of another issuer under our kid", OTHER.token(&header(), &entra_claims()), "bad_signature"),
        (
            "own key for the other issuer",
            ENTRA.token(&header(), &with(entra_claims(), "iss", json!(OIDC))),
            "unknown_key",
        ),
        (
            "no kid, two keys",
            OTHER.token(&json!({"alg": "RS512"}), &with(entra_claims(), "iss", json!(V2))),
            "bad_signature",
        ),
        (
            "key inside the token",
            ENTRA_NEXT.token(&with(with(header(), "jwk", ENTRA_NEXT.jwk()), "kid", json!("entra-2")), &entra_claims()),
            "unknown_key",
        ),
        ("payload no JSON", raw(plain_header, "{"), "malformed"),
        ("payload a string", raw(plain_header, "\"x\""), "malformed"),
        ("iss missing", lacking("iss"), "malformed"),
        ("iss a list", claim("iss", json!([V1])), "malformed"),
        ("iss empty", claim("iss", json!("")), "malformed"),
        ("iss twice", raw(plain_header, &claims_text.replacen('{', &format!("{{\"iss\":\"{V1}\","), 1)), "malformed"),
        ("iss without its slash", claim("iss", json!(V1.trim_end_matches('/'))), "unknown_issuer"),
        (
            "iss of another directory",
            claim("iss", json!("https://sts.windows.net/00000000-2222-3333-4444-555555555555/")),
            "unknown_issuer",
        ),
        ("iss in other case", claim("iss", json!(V1.to_ascii_uppercase())), "unknown_issuer"),
        ("iss with more", claim("iss", json!(format!("{V1}x"))), "unknown_issuer"),
        ("tid of another directory", claim("tid", json!("00000000-2222-3333-4444-555555555555")), "wrong_tenant"),
        ("tid missing", lacking("tid"), "malformed"),
        ("oid missing", lacking("oid"), "malformed"),
        ("oid empty", claim("oid", json!("")), "malformed"),
        ("oid null", claim("oid", json!(null)), "malformed"),
        ("aud missing", lacking("aud"), "malformed"),
        ("aud a number", claim("aud", json!(5)), "malformed"),
        ("aud an empty list", claim("aud", json!([])), "malformed"),
        ("aud a list of lists", claim("aud", json!([["https://monitor.azure.com"]])), "malformed"),
        ("aud too many", claim("aud", json!(vec!["https://monitor.azure.com"; 17])), "malformed"),
        ("aud of the query side", claim("aud", json!("https://prometheus.monitor.azure.com")), "wrong_audience"),
        ("aud with two slashes", claim("aud", json!("https://monitor.azure.com//")), "wrong_audience"),
        ("aud a prefix", claim("aud", json!("https://monitor.azure.co")), "wrong_audience"),
        ("aud with more", claim("aud", json!("https://monitor.azure.com/x")), "wrong_audience"),
        ("aud in other case", claim("aud", json!("https://MONITOR.azure.com")), "wrong_audience"),
        ("exp missing", lacking("exp"), "malformed"),
        ("exp a string", claim("exp", json!("1750003600")), "malformed"),
        ("exp null", claim("exp", json!(null)), "malformed"),
        ("exp before 1970", claim("exp", json!(-5)), "expired"),
        ("expired by the leeway", claim("exp", json!(NOW - 300)), "expired"),
        ("not valid yet by more than the leeway", claim("nbf", json!(NOW + 301)), "not_yet_valid"),
        ("nbf a string", claim("nbf", json!("soon")), "malformed"),
    ] {
        let refused = Bench::new().verify(&token).expect_err(name);
        assert_eq!(refused.reason(), reason, "{name}: {refused}");
        assert!(TokenRefused::REASONS.contains(&refused.reason()));
        assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{name}");
        let text = refused.to_string();
        assert!(!parts.iter().any(|part| text.contains(part)), "{name} repeats the token: {text}");
    }
}

#[test]
fn leeway_to_the_second() {
    for (claim, at, accepted) in
        [("exp", NOW - 299, true), ("exp", NOW - 300, false), ("nbf", NOW + 300, true), ("nbf", NOW + 301, false)]
    {
        let token = ENTRA.token(&header(), &with(entra_claims(), claim, json!(at)));
        assert_eq!(Bench::new().verify(&token).is_ok(), accepted, "{claim} {at}");
    }
    let mut strict = Bench::with_settings(VerifierSettings { leeway: Duration::ZERO, ..VerifierSettings::default() });
    for (at, accepted) in [(NOW + 1, true), (NOW, false)] {
        let token = ENTRA.token(&header(), &with(entra_claims(), "exp", json!(at)));
        assert_eq!(strict.verify(&token).is_ok(), accepted, "exp {at} without leeway");
    }
}

#[test]
fn a_remembered_token_is_checked_again() {
    let mut bench = Bench::new();
    let token = ENTRA.token(&header(), &entra_claims());
    bench.verify(&token).unwrap();
    assert_eq!(bench.verify_for(&token, &["https://management.azure.com"]).unwrap_err().reason(), "wrong_audience");
    bench.simulation.clock().set_wall(UnixTime::from_secs(NOW - 3600));
    assert_eq!(bench.verify(&token).unwrap_err().reason(), "not_yet_valid");
    bench.simulation.clock().set_wall(UnixTime::from_secs(NOW + 3600 + 299));
    bench.verify(&token).unwrap();
    bench.simulation.advance(Duration::from_secs(1));
    let refused = bench.verify(&token).unwrap_err();
    assert!(matches!(refused, TokenRefused::Expired { .. }), "{refused}");
    assert_eq!(bench.verifier.statistics().cache_misses, 1, "it was remembered all the time");
}

#[test]
fn the_memory_of_tokens_is_bounded() {
    let mut bench = Bench::with_settings(VerifierSettings { cached_tokens_max: 32, ..VerifierSettings::default() });
    for number in 0..100 {
        let token = ENTRA.token(&header(), &with(entra_claims(), "uti", json!(number)));
        bench.verify(&token).unwrap();
        bench.verify(&token).unwrap();
    }
    let statistics = bench.verifier.statistics();
    assert!((1..=32).contains(&statistics.cached_tokens), "{statistics:?}");
    assert_eq!(statistics.cache_hits, 100);
    assert_eq!(statistics.cache_evictions, 100 - statistics.cached_tokens);

    let mut none = Bench::with_settings(VerifierSettings { cached_tokens_max: 0, ..VerifierSettings::default() });
    let token = ENTRA.token(&header(), &entra_claims());
    none.verify(&token).unwrap();
    none.verify(&token).unwrap();
    assert_eq!(none.verifier.statistics().cache_hits, 0);
}

#[test]
fn keys_are_fetched_once_and_a_new_key_is_found() {
    let mut bench = Bench::new();
    let (old, new) = (
        ENTRA.token(&header(), &entra_claims()),
        ENTRA_NEXT.token(&with(header(), "kid", json!("entra-2")), &entra_claims()),
    );
    bench.verify(&old).unwrap();
    assert_eq!(bench.http.take_requests().len(), 4, "two documents, two key sets");
    assert_eq!(bench.verify(&new).unwrap_err().reason(), "keys_unavailable", "too soon to ask again, it may be new");
    assert_eq!(bench.http.take_requests().len(), 0);

    bench.web.publish(jwks([&*ENTRA, &*ENTRA_NEXT]));
    bench.simulation.advance(Duration::from_secs(30));
    bench.verify(&new).unwrap();
    assert_eq!(bench.http.take_requests().len(), 4);

    bench.web.publish(jwks([&*ENTRA_NEXT]));
    bench.verify(&old).unwrap();
    bench.simulation.advance(Duration::from_secs(31));
    assert_eq!(bench.verify(&head_kid("entra-9")).unwrap_err().reason(), "unknown_key");
    assert_eq!(bench.http.take_requests().len(), 4);
    assert_eq!(
        bench.verify(&old).unwrap_err().reason(),
        "keys_unavailable",
        "withdrawn, though the token is remembered"
    );
    bench.simulation.advance(Duration::from_secs(30));
    assert_eq!(bench.verify(&old).unwrap_err().reason(), "unknown_key", "and asked for again to be sure");
    bench.verify(&new).unwrap();
}

fn head_kid(kid: &str) -> String {
    ENTRA.token(&with(header(), "kid", json!(kid)), &entra_claims())
}

#[test]
fn a_flood_of_unknown_keys_fetches_at_the_bounded_rate() {
    let mut bench = Bench::new();
    let mut unknown = 0;
    for number in 0..600 {
        match bench.verify(&head_kid(&format!("made-up-{number}"))).unwrap_err() {
            TokenRefused::UnknownKey { .. } => unknown += 1,
            refused => assert_eq!(refused.reason(), "keys_unavailable"),
        }
        bench.simulation.advance(Duration::from_secs(1));
    }
    assert_eq!(unknown, bench.verifier.statistics().key_fetches, "only a fetch that was asked for it can tell");
    let statistics = bench.verifier.statistics();
    assert!((19..=21).contains(&statistics.key_fetches), "{statistics:?}");
    assert_eq!(statistics.key_fetches + statistics.key_fetches_throttled, 600);
}

#[test]
fn a_sender_with_a_wrong_key_is_told_so_each_time() {
    let mut bench = Bench::new();
    bench.verify(&ENTRA.token(&header(), &entra_claims())).unwrap();
    bench.simulation.advance(Duration::from_secs(30));
    for second in 0..100 {
        assert_eq!(bench.verify(&head_kid("entra-9")).unwrap_err().reason(), "unknown_key", "{second}");
        bench.simulation.advance(Duration::from_secs(1));
    }
}

#[test]
fn an_unreachable_issuer_is_unavailable_not_unauthenticated() {
    for status in [0, 500, 429, 404] {
        let mut bench = Bench::new();
        bench.web.fail_all(status);
        let token = ENTRA.token(&header(), &entra_claims());
        let refused = bench.verify(&token).unwrap_err();
        assert_eq!((refused.reason(), refused.kind()), ("keys_unavailable", ErrorKind::Unavailable), "{status}");
        assert_eq!(bench.verify(&token).unwrap_err().reason(), "keys_unavailable", "{status}, too soon to ask again");
        assert_eq!(bench.verifier.statistics().key_fetches, 1);
        bench.web.fail_all(200);
        bench.simulation.advance(Duration::from_secs(1));
        bench.verify(&token).unwrap();
    }
}

#[test]
fn failures_back_off_to_the_interval() {
    let mut bench = Bench::new();
    bench.web.fail_all(503);
    let token = ENTRA.token(&header(), &entra_claims());
    for _ in 0..3600 {
        bench.verify(&token).unwrap_err();
        bench.simulation.advance(Duration::from_secs(1));
    }
    let fetches = bench.verifier.statistics().key_fetches;
    assert!((110..=130).contains(&fetches), "{fetches} fetches in an hour");
}

#[test]
fn old_keys_serve_while_the_issuer_is_away() {
    let mut bench = Bench::new();
    let claims = with(entra_claims(), "exp", json!(NOW + 1_000_000));
    let token = ENTRA.token(&header(), &claims);
    bench.verify(&token).unwrap();
    bench.web.fail_all(0);
    for _ in 0..50 {
        bench.simulation.advance(Duration::from_secs(3600));
        bench.verify(&token).unwrap();
        bench.verify(&ENTRA.token(&header(), &with(claims.clone(), "uti", json!("fresh")))).unwrap();
    }
    assert!(bench.verifier.statistics().key_fetch_failures >= 50);
    let refused = bench.verify(&ENTRA.token(&with(header(), "kid", json!("entra-2")), &claims)).unwrap_err();
    assert_eq!(refused.reason(), "keys_unavailable", "the key may be new; only the issuer knows");
}

#[test]
fn a_keeper_fetches_ahead_of_need() {
    let mut bench = Bench::new();
    let verifier = Arc::clone(&bench.verifier);
    bench.simulation.spawn(async move { verifier.keep_keys_fresh().await });
    bench.simulation.settle();
    assert_eq!(bench.http.take_requests().len(), 6, "both issuers, before any token came");
    bench.verify(&ENTRA.token(&header(), &entra_claims())).unwrap();
    assert_eq!(bench.http.take_requests().len(), 0);
    bench.web.publish(jwks([&*ENTRA_NEXT]));
    bench.simulation.advance(Duration::from_secs(3600));
    assert!(bench.http.take_requests().len() >= 6);
    bench.simulation.clock().set_wall(UnixTime::from_secs(NOW));
    assert_eq!(bench.verify(&ENTRA.token(&header(), &entra_claims())).unwrap_err().reason(), "unknown_key");

    bench.web.fail_all(500);
    bench.http.take_requests();
    bench.simulation.advance(Duration::from_secs(24 * 3600));
    bench.simulation.clock().set_wall(UnixTime::from_secs(NOW));
    bench.verify(&ENTRA_NEXT.token(&with(header(), "kid", json!("entra-2")), &entra_claims())).unwrap();
    let asked = bench.http.take_requests().len();
    assert!((2 * 23 * 120..2 * 25 * 120 + 20).contains(&asked), "{asked}: it never stops and never hurries");
}

#[test]
fn requests_that_need_keys_share_one_fetch() {
    let mut simulation = Simulation::new(UnixTime::from_secs(NOW));
    let http = Web::new().client().with_latency(simulation.clock(), Duration::from_secs(2));
    let clock: Arc<ManualClock> = Arc::new(simulation.clock());
    let issuer = Issuer::entra_tenant("https://login.microsoftonline.com", TENANT).unwrap();
    let verifier = Arc::new(Verifier::new([issuer], Arc::new(http.clone()), clock).unwrap());
    let ask = |simulation: &mut Simulation, impatient: bool| {
        let (verifier, clock) = (Arc::clone(&verifier), simulation.clock());
        let token = ENTRA.token(&header(), &entra_claims());
        simulation.spawn(async move {
            let verifying = Box::pin(async move { verifier.verify(&token, &MONITOR).await.is_ok() });
            if impatient {
                // The client that was first, and drives the fetch, goes away.
                futures_util::future::select(verifying, clock.sleep(Duration::from_secs(1))).await;
                return false;
            }
            verifying.await
        })
    };
    let first = ask(&mut simulation, true);
    let others: Vec<_> = (0..20).map(|_| ask(&mut simulation, false)).collect();
    simulation.advance(Duration::from_secs(9));
    assert_eq!(first.take(), Some(false));
    assert!(others.iter().all(|other| other.take() == Some(true)));
    assert_eq!(http.request_count(), 4);
}

#[test]
fn discovery_that_lies_is_not_followed() {
    let document = format!("{OIDC}/.well-known/openid-configuration");
    let token = OTHER.token(
        &json!({"alg": "RS256", "kid": "other-1"}),
        &json!({"iss": OIDC, "aud": "https://monitor.azure.com", "exp": NOW + 60, "sub": "u-1"}),
    );
    for (name, body) in [
        ("another issuer", json!({"issuer": V2, "jwks_uri": format!("{OIDC}/keys")}).to_string()),
        ("keys over plain http", json!({"issuer": OIDC, "jwks_uri": "http://idp.example/realms/a/keys"}).to_string()),
        ("keys in a file", json!({"issuer": OIDC, "jwks_uri": "file:///etc/passwd"}).to_string()),
        ("no keys", json!({"issuer": OIDC}).to_string()),
        ("no JSON", "<html>".to_owned()),
        ("huge", json!({"issuer": OIDC, "jwks_uri": format!("{OIDC}/keys"), "x": "x".repeat(300_000)}).to_string()),
    ] {
        let mut bench = Bench::new();
        bench.verify(&token).unwrap();
        let mut bench = Bench::new();
        bench.web.put(&document, body);
        let refused = bench.verify(&token).unwrap_err();
        assert_eq!(refused.reason(), "keys_unavailable", "{name}: {refused}");
        assert!(refused.to_string().contains("idp.example"), "{name} names no address: {refused}");
    }
}

#[test]
fn a_key_of_another_directory_is_left_out() {
    let mut bench = Bench::new();
    let foreign = with(ENTRA.jwk(), "issuer", json!("https://login.microsoftonline.com/another/v2.0"));
    let own = with(ENTRA_NEXT.jwk(), "issuer", json!("https://login.microsoftonline.com/{tenantid}/v2.0"));
    bench.web.publish(json!({"keys": [foreign, own]}).to_string());
    assert_eq!(bench.verify(&ENTRA.token(&header(), &entra_claims())).unwrap_err().reason(), "unknown_key");
    bench.verify(&ENTRA_NEXT.token(&with(header(), "kid", json!("entra-2")), &entra_claims())).unwrap();
}

#[test]
fn an_issuer_in_this_process_needs_no_http() {
    let published = Arc::new(Mutex::new(Arc::new(KeySet::from_jwks(jwks([&*ENTRA]).as_bytes()).unwrap())));
    let handle = Arc::clone(&published);
    let http = ScriptedHttp::new(|_| panic!("no HTTP is needed"));
    let mut simulation = Simulation::new(UnixTime::from_secs(NOW));
    let issuer = Issuer::local(V1, move || Arc::clone(&handle.lock().unwrap()));
    let verifier = Arc::new(Verifier::new([issuer], Arc::new(http), Arc::new(simulation.clock())).unwrap());
    let token = ENTRA.token(&header(), &entra_claims());
    let mut verify = || {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        simulation.block_on(async move { verifier.verify(&token, &MONITOR).await })
    };
    verify().unwrap();
    verify().unwrap();
    *published.lock().unwrap() = Arc::new(KeySet::from_jwks(jwks([&*ENTRA_NEXT]).as_bytes()).unwrap());
    assert_eq!(verify().unwrap_err().reason(), "unknown_key", "a withdrawn key ends at once");
}

#[test]
fn configurations_that_cannot_be() {
    let build = |issuers: Vec<Issuer>| {
        let clock = ManualClock::new(UnixTime::EPOCH);
        Verifier::new(issuers, Arc::new(Web::new().client()), Arc::new(clock)).map(|_| ())
    };
    for tenant in ["common", "organizations", "contoso.onmicrosoft.com", ""] {
        assert!(matches!(
            Issuer::entra_tenant("https://login.microsoftonline.com", tenant),
            Err(IssuerError::Tenant(_))
        ));
    }
    for url in ["", "idp.example", "ftp://idp.example", "https://idp.example/?x=1", "https://u@idp.example/"] {
        assert!(matches!(Issuer::openid(url), Err(IssuerError::Url(_))), "{url:?}");
    }
    let plain = Issuer::openid("http://keycloak:8080/realms/a").unwrap();
    assert!(matches!(build(vec![plain.clone()]), Err(IssuerError::PlainHttp(_))));
    build(vec![plain.allow_plain_http()]).unwrap();
    for loopback in ["http://127.0.0.1:7091/x", "http://localhost:7091/x", "http://[::1]:7091/x"] {
        build(vec![Issuer::openid(loopback).unwrap()]).unwrap();
    }
    let twice =
        vec![Issuer::openid(V2).unwrap(), Issuer::entra_tenant("https://login.microsoftonline.com/", TENANT).unwrap()];
    assert_eq!(build(twice), Err(IssuerError::Duplicate(V2.to_owned())));
}

#[test]
fn the_names_of_the_clouds() {
    for (authority, v2, v1) in [
        ("https://login.microsoftonline.com", "https://login.microsoftonline.com", "https://sts.windows.net"),
        ("https://login.windows.net/", "https://login.microsoftonline.com", "https://sts.windows.net"),
        ("https://login.microsoftonline.us", "https://login.microsoftonline.us", "https://sts.windows.net"),
        ("https://login.chinacloudapi.cn", "https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn"),
        ("https://entra.local:7091", "https://entra.local:7091", "https://entra.local:7091"),
    ] {
        let issuer = Issuer::entra_tenant(authority, &TENANT.to_ascii_uppercase()).unwrap();
        let names: Vec<_> = issuer.names.iter().map(|name| name.to_string()).collect();
        assert_eq!(names, [format!("{v2}/{TENANT}/v2.0"), format!("{v1}/{TENANT}/")], "{authority}");
    }
}
