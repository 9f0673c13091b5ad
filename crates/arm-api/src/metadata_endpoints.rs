//! `GET /metadata/endpoints`: where a client finds the rest of this cloud. The one answer that needs no token, since it says
//! where to get one.
//!
//! The service itself is named by the host it was asked by, so that a client goes on by the name that worked; the authority
//! and the directory are named as they are set.

use http::header::HOST;
use http::uri::Authority;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::error::ArmError;
use crate::route::{Right, Route, Verb, handler};

pub(crate) const ROUTES: &[Route] =
    &[Route::new(Verb::Get, "/metadata/endpoints", Right::Public, VERSIONS, handler!(endpoints))];

const VERSIONS: &[&str] = &["2015-01-01", "2018-05-01", "2019-05-01", "2020-06-01", "2022-09-01"];

async fn endpoints(call: Call) -> Result<Answer, ArmError> {
    let version = call.query.filled("api-version").unwrap_or("");
    let own = asked(&call).unwrap_or_else(|| format!("{}/", call.settings.public_url.trim_end_matches('/')));
    let graph = format!("{}/", call.settings.public_url.trim_end_matches('/'));
    // Dates compare as texts.
    Ok(Answer::ok(match version {
        first if first < "2019" => first_shape(&call, &graph, &own),
        list if list < "2022" => json!([shape(&call, &graph, &own)]),
        _ => shape(&call, &graph, &own),
    }))
}

fn first_shape(call: &Call, graph: &str, own: &str) -> Value {
    json!({
        "galleryEndpoint": own,
        "graphEndpoint": graph,
        "portalEndpoint": own,
        "graphAudience": graph,
        "authentication": { "loginEndpoint": call.settings.login_endpoint, "audiences": call.settings.audiences },
    })
}

fn shape(call: &Call, graph: &str, own: &str) -> Value {
    json!({
        "name": "Remora",
        "portal": own,
        "gallery": own,
        "resourceManager": own,
        "graph": graph,
        "graphAudience": graph,
        "microsoftGraphResourceId": graph,
        "authentication": {
            "loginEndpoint": call.settings.login_endpoint,
            "audiences": call.settings.audiences,
            "tenant": call.settings.tenant_id,
            "identityProvider": "AAD",
        },
        // Hosts of services that are not here; clients crash without the object.
        "suffixes": {},
    })
}

/// The address that the client used; none when it does not say, or says what no address is.
fn asked(call: &Call) -> Option<String> {
    let mut hosts = call.headers.get_all(HOST).iter();
    let host = match &call.authority {
        Some(authority) => authority.as_str(),
        None => hosts.next().filter(|_| hosts.next().is_none())?.to_str().ok()?,
    };
    let authority: Authority = host.parse().ok().filter(|_| !host.contains('@'))?;
    let scheme = if call.peer.tls { "https" } else { "http" };
    Some(format!("{scheme}://{}/", authority.as_str().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
