//! One request to an identity endpoint, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use environment::{HttpErrorKind, Request, Response, UnixTime};
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use url::Url;

use crate::credential::Environment;
use crate::error_answer::{ErrorAnswer, tidy};
use crate::token_answer::TokenAnswer;
use crate::token_error::{TokenError, TokenErrorKind};
use crate::{mend, time_text};

/// How long one request may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Who asks where; for error texts.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) environment: &'a Environment,
    /// The credential, as people know it.
    pub(crate) credential: &'a str,
    /// What was sent and must not come back in an error text.
    pub(crate) secrets: &'a [&'a str],
}

/// Which answers mean *later* rather than *no*.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Entra's token and discovery endpoints.
    Entra,
    /// The instance metadata service, which also answers 404 and 410 while it is being updated.
    Imds,
    /// App Service and Azure Arc.
    LocalAgent,
}

impl Asker<'_> {
    /// Sends `request` to `url`, which is taken without its query into error texts.
    pub(crate) async fn send(&self, request: Request, url: &Url) -> Result<Response, TokenError> {
        self.environment.http.send(request, REQUEST_TIMEOUT).await.map_err(|error| {
            let place = place(url);
            let message = format!("no answer from {place}: {}", tidy(&error.message, self.secrets, 200));
            let mend = match error.kind {
                HttpErrorKind::Connect => "check the name, the route and the firewall or network policy to it",
                HttpErrorKind::Tls => "add the certificate authority of that server with SSL_CERT_FILE, or check for an intercepting proxy",
                HttpErrorKind::Timeout => "check the route and the firewall or network policy to it",
                HttpErrorKind::TooLarge | HttpErrorKind::Other => "check that the address is the right one",
            };
            TokenError::new(TokenErrorKind::Unreachable, self.credential, message).at(place).with_mend(mend)
        })
    }

    /// Reads a token answer, or makes the error of it.
    pub(crate) fn read(&self, endpoint: Endpoint, url: &Url, response: &Response) -> Result<TokenAnswer, TokenError> {
        if !matches!(response.status().as_u16(), 200..=202) {
            return Err(self.refusal(endpoint, url, response));
        }
        let now = self.environment.clock.now();
        TokenAnswer::parse(response.body(), now, issuer_time(response.headers())).map_err(|error| {
            let place = place(url);
            TokenError::new(TokenErrorKind::Unintelligible, self.credential, format!("{place} answered, but {error}"))
                .at(place)
                .with_mend(
                    "check that the address is that of an identity endpoint and that this machine's clock is right",
                )
                .with_status(response.status().as_u16(), Vec::new(), None)
        })
    }

    /// The error that an unsuccessful `response` stands for.
    pub(crate) fn refusal(&self, endpoint: Endpoint, url: &Url, response: &Response) -> TokenError {
        let status = response.status().as_u16();
        let answer = ErrorAnswer::parse(response.body(), self.secrets);
        let id = answer.id.as_deref();
        let kind =
            if is_transient(endpoint, status, id) { TokenErrorKind::Unavailable } else { TokenErrorKind::Refused };
        let mend = answer.aadsts.iter().copied().find_map(mend::for_aadsts).or_else(|| match endpoint {
            Endpoint::Entra => None,
            Endpoint::Imds | Endpoint::LocalAgent => mend::for_managed_identity(status, id, &answer.text),
        });
        let place = place(url);
        let mut message = format!("{place} answered {status}");
        for part in [answer.id.as_deref().unwrap_or_default(), &answer.text] {
            if !part.is_empty() {
                message.push_str(": ");
                message.push_str(part);
            }
        }
        let retry_after = retry_after(response.headers(), self.environment.clock.now());
        let error =
            TokenError::new(kind, self.credential, message).at(place).with_status(status, answer.aadsts, retry_after);
        match mend {
            Some(mend) => error.with_mend(mend),
            None => error,
        }
    }
}

/// A request with an empty body.
pub(crate) fn get(url: &Url, headers: &[(&'static str, &str)]) -> Option<Request> {
    let builder =
        headers.iter().fold(http::Request::get(url.as_str()), |builder, (name, value)| builder.header(*name, *value));
    builder.body(Bytes::new()).ok()
}

/// A URL without what need not be read by everybody.
pub(crate) fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn is_transient(endpoint: Endpoint, status: u16, id: Option<&str>) -> bool {
    match status {
        408 | 429 | 500..=599 => true,
        404 | 410 => endpoint == Endpoint::Imds,
        _ => matches!(id, Some("temporarily_unavailable" | "server_error")),
    }
}

fn issuer_time(headers: &HeaderMap) -> Option<UnixTime> {
    time_text::parse_http_date(headers.get(DATE)?.to_str().ok()?)
}

/// `Retry-After` in either of its forms. A date is read against the issuer's own clock when the answer tells it.
fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(time_text::parse_http_date(text)?.since(issuer_time(headers).unwrap_or(now))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = UnixTime::from_secs(784_111_777);
        for (headers, seconds) in [
            (vec![("retry-after", "7")], Some(7)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(60)),
            (
                vec![("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", "Sun, 06 Nov 1994 08:50:07 GMT")],
                Some(30),
            ),
            (vec![("retry-after", "Sun, 06 Nov 1990 08:50:37 GMT")], Some(0)),
            (vec![("retry-after", "-3")], None),
            (vec![], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(retry_after(&map, now).map(|span| span.as_secs()), seconds, "{headers:?}");
        }
    }
}
