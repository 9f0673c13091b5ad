//! What a request pays for its token: one that was seen before, and one that was not.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot be set up shall stop")]

use std::sync::Arc;
use std::time::Duration;

use access::{Issuer, KeySet, Policy, RoleAssignment, Verifier, VerifierSettings, WRITE_METRICS, roles};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use environment::UnixTime;
use futures_util::FutureExt as _;
use testkit::{ManualClock, ScriptedHttp};

const ISSUER: &str = "https://127.0.0.1:7091/11111111-2222-3333-4444-555555555555/v2.0";
const AUDIENCES: [&str; 1] = ["https://monitor.azure.com"];

/// A token of the size and content of Entra's for a managed identity: about 1.5 kB.
fn token(pair: &RsaKeyPair) -> String {
    let header = r#"{"typ":"JWT","alg":"RS256","x5t":"c29tZXRoaW5nIG9mIHRoaXMgbGVu","kid":"bench"}"#;
    let padding = "x".repeat(300);
    let claims = format!(
        r#"{{"aud":"https://monitor.azure.com/","iss":"{ISSUER}","iat":1,"nbf":1,"exp":1750086400,"aio":"{padding}","appid":"99999999-0000-0000-0000-000000000000","appidacr":"2","idp":"{ISSUER}","idtyp":"app","oid":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","rh":"x","sub":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","tid":"11111111-2222-3333-4444-555555555555","uti":"x","ver":"1.0","xms_mirid":"/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/sender"}}"#
    );
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn verifier(pair: &RsaKeyPair, cached_tokens_max: usize) -> Verifier {
    // The modulus stands behind nine bytes of headers in the PKCS#1 form of a 2048-bit key.
    let n = URL_SAFE_NO_PAD.encode(&pair.public_key().as_ref()[9..265]);
    let jwks = format!(r#"{{"keys":[{{"kty":"RSA","kid":"bench","n":"{n}","e":"AQAB"}}]}}"#);
    let keys = Arc::new(KeySet::from_jwks(jwks.as_bytes()).unwrap());
    let http = Arc::new(ScriptedHttp::new(|_| panic!("no HTTP is needed")));
    let clock = Arc::new(ManualClock::new(UnixTime::from_secs(1_750_000_000)));
    let settings = VerifierSettings { cached_tokens_max, ..VerifierSettings::default() };
    Verifier::with_settings([Issuer::local(ISSUER, move || Arc::clone(&keys))], http, clock, settings).unwrap()
}

fn benches(criterion: &mut Criterion) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let token = token(&pair);
    for (name, cached) in [("verify/known_token", 4096), ("verify/new_token", 0)] {
        let verifier = verifier(&pair, cached);
        criterion.bench_function(&format!("{name}_{}_bytes", token.len()), |bencher| {
            bencher.iter(|| verifier.verify(&token, &AUDIENCES).now_or_never().unwrap().unwrap());
        });
    }
    let principal = verifier(&pair, 0).verify(&token, &AUDIENCES).now_or_never().unwrap().unwrap();
    let rule = |number: u32| {
        format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r{number}")
    };
    let policy = Policy::new((0..10).map(|number| RoleAssignment {
        principal_id: principal.object_id.clone(),
        issuer: None,
        role_definition_id: roles::MONITORING_METRICS_PUBLISHER.to_owned(),
        scope: rule(number).parse().unwrap(),
    }))
    .unwrap();
    let asked = rule(9).parse().unwrap();
    criterion.bench_function("allows/last_of_10_assignments", |bencher| {
        bencher.iter(|| policy.allows(&principal, WRITE_METRICS, &asked).is_allowed());
    });
}

criterion_group! {
    name = group;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = benches
}
criterion_main!(group);
