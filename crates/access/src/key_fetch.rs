//! Fetching an issuer's keys over HTTP, once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use environment::{HttpClient, Response};
use http::StatusCode;
use url::Url;

use crate::discovery::Discovery;
use crate::issuer::{Issuer, KeySource};
use crate::key_set::KeySet;

/// Keys as one fetch found them.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) keys: Arc<KeySet>,
    /// How long the issuer says they may be kept.
    pub(crate) age_max: Option<Duration>,
}

/// Fetches all keys of `issuer`. The error says what failed on what.
///
/// All documents must answer: a set with some keys missing would make good tokens look forged, which senders answer by
/// dropping their samples. Only a document that the issuer says does not exist is passed over.
pub(crate) async fn fetch(
    issuer: Arc<Issuer>,
    http: Arc<dyn HttpClient>,
    timeout: Duration,
) -> Result<Fetched, String> {
    let mut fetched = Fetched { keys: Arc::default(), age_max: None };
    let mut keys = KeySet::default();
    for url in key_set_addresses(&issuer, &*http, timeout).await? {
        let Some(response) = get(&*http, &url, timeout).await? else {
            return Err(format!("{url} answered 404"));
        };
        let found = KeySet::from_jwks_of(response.body(), |key_issuer| is_key_of(&issuer, key_issuer));
        keys.merge(found.map_err(|error| format!("{url}: {error}"))?);
        fetched.age_max = [fetched.age_max, age_max(&response)].into_iter().flatten().min();
    }
    fetched.keys = Arc::new(keys);
    Ok(fetched)
}

async fn key_set_addresses(issuer: &Issuer, http: &dyn HttpClient, timeout: Duration) -> Result<Vec<Url>, String> {
    let documents = match &issuer.keys {
        KeySource::KeySet(url) => return Ok(vec![url.clone()]),
        KeySource::Local(_) => return Ok(Vec::new()),
        KeySource::Discovery(documents) => documents,
    };
    let mut addresses = Vec::new();
    for document in documents {
        let Some(response) = get(http, document, timeout).await? else { continue };
        let discovery = Discovery::parse(response.body()).map_err(|error| format!("{document} {error}"))?;
        if !issuer.names.iter().any(|name| **name == *discovery.issuer) {
            let (found, expected) = (discovery.issuer, issuer.name());
            return Err(format!("{document} speaks for the issuer {found:?}, not for {expected:?}"));
        }
        if !issuer.may_fetch(&discovery.key_set) {
            return Err(format!("{document} names keys at {}, which is not https", discovery.key_set));
        }
        if !addresses.contains(&discovery.key_set) {
            addresses.push(discovery.key_set);
        }
    }
    if addresses.is_empty() { Err(format!("{} answered 404", documents[0])) } else { Ok(addresses) }
}

/// `None` is the answer that there is no such document.
async fn get(http: &dyn HttpClient, url: &Url, timeout: Duration) -> Result<Option<Response>, String> {
    let request = http::Request::get(url.as_str()).header(http::header::ACCEPT, "application/json");
    let request = request.body(Bytes::new()).map_err(|error| format!("{url}: {error}"))?;
    let response = http.send(request, timeout).await.map_err(|error| format!("{url}: {error}"))?;
    match response.status() {
        StatusCode::OK if response.body().len() > DOCUMENT_BYTES_MAX => {
            Err(format!("{url} answered more than {DOCUMENT_BYTES_MAX} bytes"))
        }
        StatusCode::OK => Ok(Some(response)),
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(format!("{url} answered {status}")),
    }
}

/// Entra marks keys that sign only for one directory; its template `{tenantid}` stands for all.
fn is_key_of(issuer: &Issuer, key_issuer: &str) -> bool {
    issuer.tenant_id.is_none()
        || key_issuer.contains("{tenantid}")
        || issuer.names.iter().any(|name| **name == *key_issuer)
}

fn age_max(response: &Response) -> Option<Duration> {
    let directives = response.headers().get(http::header::CACHE_CONTROL)?.to_str().ok()?;
    let secs = directives.split(',').find_map(|directive| directive.trim().strip_prefix("max-age="))?;
    secs.trim_matches('"').parse().ok().map(Duration::from_secs)
}

/// Entra's documents are about 20 KiB.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
