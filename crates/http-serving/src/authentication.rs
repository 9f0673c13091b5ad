//! Bearer token → principal, and the answer when there is none.

use std::sync::Arc;

use access::{Principal, TokenRefused, Verifier};
use http::HeaderMap;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use model::{ErrorKind, Kinded as _};

use crate::{AzureError, Peer, Response, with_header};

/// Whom the request's token speaks for, if it is for one of `audiences`.
///
/// # Errors
/// Why the token is not accepted; no token, two of them and other schemes are [`TokenRefused::Missing`].
pub async fn authenticate<A: AsRef<str>>(
    headers: &HeaderMap,
    verifier: &Verifier,
    audiences: &[A],
) -> Result<Arc<Principal>, TokenRefused> {
    verifier.verify(bearer(headers).ok_or(TokenRefused::Missing)?, audiences).await
}

/// Says that the token is not accepted, and where to get one (contract §8): 401, or 503 when nothing can be said about it.
pub fn token_refused(refused: &TokenRefused, peer: &Peer, authorization_uri: &str) -> Response {
    match refused {
        TokenRefused::Missing => AzureError::new(
            ErrorKind::Unauthenticated,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        )
        .challenge(peer, authorization_uri),
        _ if refused.kind() == ErrorKind::Unauthenticated => AzureError::new(
            ErrorKind::Unauthenticated,
            "InvalidAuthenticationToken",
            format!("The access token is invalid. Reason: {refused}."),
        )
        .challenge(peer, authorization_uri),
        _ => with_header(
            AzureError::new(refused.kind(), "ServiceUnavailable", refused.to_string()).response(peer),
            RETRY_AFTER,
            RETRY_AFTER_SECS,
        ),
    }
}

/// The one bearer token of a request. Two headers are none: what stands before us may have looked at the other one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

const RETRY_AFTER_SECS: &str = "5";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn which_header_is_a_token() {
        for (values, token) in [
            (&["Bearer abc"][..], Some("abc")),
            (&["bearer  abc "], Some("abc")),
            (&["Bearer "], Some("")),
            (&["Bearer"], None),
            (&["Basic dTpw"], None),
            (&[], None),
            (&["Bearer a", "Bearer b"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), token, "{values:?}");
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        let peer = Peer {
            addr: ([127, 0, 0, 1], 1).into(),
            local_addr: ([127, 0, 0, 1], 2).into(),
            tls: false,
            request_id: crate::RequestId(uuid::Uuid::nil()),
        };
        let unavailable = TokenRefused::KeysUnavailable { issuer: "i".to_owned(), cause: "c".to_owned() };
        for (refused, status, code) in [
            (TokenRefused::Missing, 401, "AuthenticationFailed"),
            (TokenRefused::BadSignature, 401, "InvalidAuthenticationToken"),
            (unavailable, 503, "ServiceUnavailable"),
        ] {
            let response = token_refused(&refused, &peer, "https://authority/tenant");
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!((response.status().as_u16(), header("x-ms-error-code")), (status, Some(code)));
            assert_eq!(header("www-authenticate").is_some(), status == 401);
            assert_eq!(header("retry-after").is_some(), status == 503);
        }
    }
}
