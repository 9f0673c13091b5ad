use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use environment::BoxFuture;

use super::*;
use crate::report::Status;

mod answers;

const NOW: UnixTime = UnixTime::from_millis(1_700_000_000_000);

/// Gives one answer after the other; the last one for ever.
struct Scripted(Mutex<Vec<Result<AccessToken, TokenError>>>);

impl Credential for Scripted {
    fn fetch<'a>(&'a self, _: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { answer })
    }

    fn describe(&self) -> String {
        "managed identity with client id 1 from IMDS".to_owned()
    }

    fn kind(&self) -> &'static str {
        "managed identity from IMDS"
    }
}

fn token(payload: &str) -> AccessToken {
    let secret = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
    AccessToken::new(&secret, NOW, Duration::from_secs(3600), None).unwrap()
}

async fn looked(answers: Vec<Result<AccessToken, TokenError>>) -> (Step, bool) {
    let scope = Scope::parse("https://monitor.azure.com").unwrap();
    let (mut steps, held) = look(&Scripted(Mutex::new(answers)), &scope, Cloud::UsGovernment, NOW).await;
    (steps.remove(0), held.is_some())
}

#[tokio::test]
async fn claims_are_judged() {
    let good = r#""aud":"https://monitor.azure.com/","oid":"o-1","tid":"t-1","nbf":1700000000,"exp":1700003600"#;
    for (payload, status, words) in [
        (format!("{{{good}}}"), Status::Ok, "of an application, oid o-1, for 1 h 0 min more"),
        (format!("{{{good},\"xms_mirid\":\"/m\"}}"), Status::Ok, "of a managed identity"),
        (
            good.replace("monitor.azure", "prometheus.monitor.azure"),
            Status::Failed,
            "is for https://prometheus.monitor.azure.com/, not for",
        ),
        (good.replace("https://monitor.azure.com/", "11111111-2222-3333-4444-555555555555"), Status::Ok, "oid o-1"),
        (good.replace("1700003600", "1699999400"), Status::Failed, "expired 10 min 0 s ago"),
        (good.replace("1700000000", "1700001000"), Status::Failed, "valid only in 16 min 40 s"),
        (good.replace("\"oid\":\"o-1\",", ""), Status::Warning, "names no principal"),
    ] {
        let payload = if payload.starts_with('{') { payload } else { format!("{{{payload}}}") };
        let (step, usable) = looked(vec![Ok(token(&payload))]).await;
        assert!(step.status == status && step.finding.contains(words), "{payload}: {step:?}");
        assert_eq!(usable, status != Status::Failed);
        let secret = URL_SAFE_NO_PAD.encode(&payload);
        assert!(!format!("{step:?}").contains(&secret), "the token is not printed: {step:?}");
    }
    let opaque = AccessToken::new("opaque", NOW, Duration::from_secs(60), None).unwrap();
    let (step, usable) = looked(vec![Ok(opaque)]).await;
    assert!(usable && step.status == Status::Warning && !format!("{step:?}").contains("opaque"), "{step:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_keep_their_mend_and_get_the_one_that_is_known_here() {
    let error = |kind, message: &str| TokenError::new(kind, "managed identity", message);
    for (error, finding, mend) in [
        (
            error(TokenErrorKind::Unreachable, "no answer")
                .at("http://169.254.169.254/metadata/identity/oauth2/token")
                .with_mend("check the route"),
            "managed identity: no answer",
            "169.254.169.254 port 80",
        ),
        (
            error(TokenErrorKind::Refused, "answered 400").with_mend("assign this identity"),
            "managed identity: answered 400",
            "assign this identity",
        ),
        (error(TokenErrorKind::Refused, "answered 400"), "managed identity: answered 400", "sign-in logs"),
    ] {
        let (step, usable) = looked(vec![Err(error)]).await;
        assert!(!usable && step.finding == finding && step.mend.as_deref().unwrap().contains(mend), "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_asked_again_once() {
    let busy = || Err(TokenError::new(TokenErrorKind::Unavailable, "managed identity", "answered 429"));
    let good = token(r#"{"aud":"https://monitor.azure.com","oid":"o"}"#);
    let (step, usable) = looked(vec![busy(), Ok(good.clone())]).await;
    assert!(usable && step.status == Status::Ok, "{step:?}");
    let (step, usable) = looked(vec![busy(), busy(), Ok(good)]).await;
    assert!(!usable && step.status == Status::Failed, "{step:?}");
}
