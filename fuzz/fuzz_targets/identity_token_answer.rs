//! Token answers, with and without the issuer's own time.
#![no_main]

use environment::UnixTime;
use identity::TokenAnswer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let now = UnixTime::from_secs(1_732_273_600);
    for issuer_now in [None, Some(UnixTime::from_secs(1_732_277_200))] {
        if let Ok(answer) = TokenAnswer::parse(body, now, issuer_now) {
            assert!(answer.token.expires_at() > now);
        }
    }
});
