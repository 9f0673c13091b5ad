use super::*;

fn body(error: ArmError) -> Value {
    error.into_answer().body.unwrap()
}

#[test]
fn the_envelope() {
    let plain = ArmError::bad_request("InvalidFilter", "no");
    assert_eq!(body(plain.clone()), json!({"error": {"code": "InvalidFilter", "message": "no"}}));
    assert_eq!(plain.with_target("$filter").into_answer().body.unwrap()["error"]["target"], "$filter");
    let problem = |target: &str| Problem { target: target.to_owned(), message: "is missing".to_owned() };
    let two = body(ArmError::invalid(&[problem("location"), problem("properties.x")]));
    assert_eq!(two["error"]["code"], "InvalidPayload");
    assert_eq!(
        two["error"]["details"][1],
        json!({"code": "InvalidProperty", "target": "properties.x", "message": "is missing"})
    );
    let many: Vec<Problem> = (0..1000).map(|index| problem(&format!("p{index}"))).collect();
    assert_eq!(body(ArmError::invalid(&many))["error"]["details"].as_array().unwrap().len(), DETAILS_MAX);
}

#[test]
fn a_missing_resource_is_named_as_azure_does() {
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/a".parse().unwrap();
    let error = ArmError::from(StoreError::NotFound(id));
    assert_eq!((error.status.as_u16(), &*error.code), (404, "ResourceNotFound"));
    assert_eq!(
        error.message,
        "The Resource 'Microsoft.Monitor/accounts/a' under resource group 'g' was not found. For more details please go to \
         https://aka.ms/ARMResourceNotFoundFix"
    );
}

#[test]
fn refused_tokens() {
    let unavailable = TokenRefused::KeysUnavailable { issuer: "i".to_owned(), cause: "c".to_owned() };
    let wrong = TokenRefused::WrongAudience { found: "\"x\"".to_owned(), expected: "y".to_owned() };
    for (refused, status, code) in [
        (TokenRefused::Missing, 401, "AuthenticationFailed"),
        (TokenRefused::BadSignature, 401, "InvalidAuthenticationToken"),
        (wrong, 401, "InvalidAuthenticationTokenAudience"),
        (unavailable, 503, "ServiceUnavailable"),
    ] {
        let error = ArmError::unauthenticated(&refused, "https://login/tenant");
        assert_eq!((error.status.as_u16(), &*error.code), (status, code));
        let challenge = error.headers.iter().find(|(name, _)| name == WWW_AUTHENTICATE).map(|(_, value)| value);
        match challenge {
            Some(value) => {
                let start =
                    "Bearer authorization_uri=\"https://login/tenant\", error=\"invalid_token\", error_description=\"";
                let description = value.strip_prefix(start).and_then(|rest| rest.strip_suffix('"')).unwrap();
                assert!(!description.contains('"'), "{value}");
            }
            None => assert_eq!(status, 503),
        }
    }
}
