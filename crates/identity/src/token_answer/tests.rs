use super::*;

const NOW: i64 = 1_732_273_600;

#[track_caller]
fn check(body: &str, lifetime: u64, refresh_in: Option<u64>) {
    let answer = TokenAnswer::parse(body.as_bytes(), UnixTime::from_secs(NOW), None).unwrap();
    assert_eq!(answer.token.lifetime().as_secs(), lifetime, "{body}");
    assert_eq!(answer.token.expires_at(), UnixTime::from_secs(NOW + lifetime as i64));
    assert_eq!(answer.token.refresh_in().map(|span| span.as_secs()), refresh_in, "{body}");
    assert_eq!(answer.token.secret(), "t.o.k");
}

#[test]
fn every_shape_of_expiry_is_read() {
    // IMDS: everything a string. The moment is nearer than the span, which is as old as the answer in IMDS' cache.
    check(
        r#"{"access_token":"t.o.k","client_id":"c","expires_in":"86399","expires_on":"1732360000","ext_expires_in":"86399",
            "not_before":"1732273300","refresh_token":"","resource":"https://monitor.azure.com/","token_type":"Bearer"}"#,
        86_399,
        None,
    );
    check(r#"{"access_token":"t.o.k","expires_in":"86399","expires_on":"1732273900"}"#, 300, None);
    // v2 endpoint: numbers.
    check(r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"t.o.k"}"#, 3599, None);
    check(r#"{"access_token":"t.o.k","expires_in":86399,"refresh_in":43199}"#, 86_399, Some(43_199));
    check(r#"{"access_token":"t.o.k","expires_in":"86399","refresh_in":"43199"}"#, 86_399, Some(43_199));
    check(r#"{"access_token":"t.o.k","expires_in":3600,"refresh_in":0}"#, 3600, None);
    // App Service: a moment alone, also as a number and in the older date forms.
    check(r#"{"access_token":"t.o.k","expires_on":"1732277200"}"#, 3600, None);
    check(r#"{"access_token":"t.o.k","expires_on":1732277200}"#, 3600, None);
    check(r#"{"access_token":"t.o.k","expires_on":"11/22/2024 12:06:40"}"#, 3600, None);
    check(r#"{"access_token":"t.o.k","expires_on":"2024-11-22 12:06:40"}"#, 3600, None);
    check(r#"{"access_token":"t.o.k","expires_on":"2024-11-22T12:06:40Z"}"#, 3600, None);
    // An unreadable moment leaves the span.
    check(r#"{"access_token":"t.o.k","expires_on":"soon","expires_in":"60"}"#, 60, None);
    // Nobody lives for ever.
    check(r#"{"access_token":"t.o.k","expires_in":1e300}"#, LIFETIME_MAX.as_secs(), None);
}

#[test]
fn a_wrong_local_clock_is_made_up_for() {
    let parse = |body: &str, now: i64, issuer_now: Option<i64>| {
        TokenAnswer::parse(body.as_bytes(), UnixTime::from_secs(now), issuer_now.map(UnixTime::from_secs))
            .map(|answer| (answer.token.lifetime().as_secs(), answer.token.expires_at().as_secs()))
    };
    let both = r#"{"access_token":"t","expires_in":"3600","expires_on":"1732277200"}"#;
    let moment = r#"{"access_token":"t","expires_on":"1732277200"}"#;
    let day = 86_400;
    // Our clock a day ahead: the span, or the issuer's time, shows that the token lives.
    assert_eq!(parse(both, NOW + day, None), Ok((3600, NOW + day + 3600)));
    assert_eq!(parse(moment, NOW + day, Some(NOW)), Ok((3600, NOW + day + 3600)));
    assert_eq!(parse(moment, NOW + day, None), Err(AnswerError::Expired));
    // Our clock a day behind: the token must not be kept for a day.
    assert_eq!(parse(both, NOW - day, None), Ok((3600, NOW - day + 3600)));
    assert_eq!(parse(moment, NOW - day, Some(NOW)), Ok((3600, NOW - day + 3600)));
    // Really expired, by the issuer's own clock.
    assert_eq!(parse(both, NOW, Some(1_732_277_200)), Err(AnswerError::Expired));
}

#[test]
fn what_holds_no_token_is_told_apart() {
    let long = format!(r#"{{"access_token":"{}","expires_in":1}}"#, "x".repeat(TOKEN_BYTES_MAX + 1));
    for (body, error) in [
        ("", AnswerError::NotJson),
        ("<html>", AnswerError::NotJson),
        ("[]", AnswerError::NotJson),
        ("{}", AnswerError::NoToken),
        (r#"{"access_token":7}"#, AnswerError::NoToken),
        (r#"{"access_token":""}"#, AnswerError::NoToken),
        (r#"{"access_token":"t"}"#, AnswerError::NoExpiry),
        (r#"{"access_token":"t","expires_in":null}"#, AnswerError::NoExpiry),
        (r#"{"access_token":"t","expires_in":-5}"#, AnswerError::NoExpiry),
        (r#"{"access_token":"t","expires_in":"0"}"#, AnswerError::Expired),
        (r#"{"access_token":"a b","expires_in":9}"#, AnswerError::UnusableToken),
        (&long, AnswerError::UnusableToken),
    ] {
        assert_eq!(
            TokenAnswer::parse(body.as_bytes(), UnixTime::from_secs(NOW), None).unwrap_err(),
            error,
            "{body:.60}"
        );
    }
}

#[test]
fn the_identity_is_echoed() {
    let body = br#"{"access_token":"t","expires_in":9,"client_id":"c","object_id":"o","mi_res_id":"r"}"#;
    let answer = TokenAnswer::parse(body, UnixTime::from_secs(NOW), None).unwrap();
    assert_eq!(answer.client_id.as_deref(), Some("c"));
    assert_eq!(answer.object_id.as_deref(), Some("o"));
    assert_eq!(answer.resource_id.as_deref(), Some("r"));
}

proptest::proptest! {
    #[test]
    fn no_body_panics_and_every_token_lives(body: Vec<u8>, expires_on: f64, expires_in in ".{0,20}") {
        let _ = TokenAnswer::parse(&body, UnixTime::from_secs(NOW), None);
        let body = serde_json::json!({"access_token": "t", "expires_on": expires_on, "expires_in": expires_in}).to_string();
        if let Ok(answer) = TokenAnswer::parse(body.as_bytes(), UnixTime::from_secs(NOW), None) {
            assert!(answer.token.lifetime() >= Duration::from_secs(1) && answer.token.lifetime() <= LIFETIME_MAX);
        }
    }
}
