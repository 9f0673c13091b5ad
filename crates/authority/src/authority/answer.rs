//! Requests → answers: which path means what, and how answers and errors are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, PRAGMA};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Authority, Caller};
use crate::asked::Asked;
use crate::assertion::AssertionCheck;
use crate::discovery;
use crate::entra_error::EntraError;
use crate::managed_identity::{self, Form, MetadataError};
use crate::parameters::{Parameters, ParametersError};
use crate::token::Proof;
use crate::token_endpoint::{self, Credential, Version};

impl Authority {
    /// Answers a request. Waits only when keys of a federated issuer have to be fetched.
    pub async fn answer(&self, request: Request<Bytes>, caller: Caller) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if let Some(form) = self.metadata_form(path) {
            return self.answer_metadata(form, &parts, caller);
        }
        let answered = match self.hosts.asked(&parts, caller.tls) {
            Ok(asked) => self.answer_entra(&asked, &parts, &body).await,
            Err(found) => Err(EntraError::host(&found)),
        };
        let (trace_id, correlation_id) = (self.new_id(), client_request_id(&parts));
        let mut response = match answered {
            Ok(answer) => answer,
            Err(error) => {
                let text = error.description();
                tracing::info!(code = error.code, status = error.status, %trace_id, reason = %text, "no token");
                let (correlation_id, now) = (correlation_id.unwrap_or(trace_id), self.clock.now());
                never_stored(json_answer(error.status, &error.body(trace_id, correlation_id, now)))
            }
        };
        let headers = response.headers_mut();
        insert(headers, X_MS_REQUEST_ID, &trace_id.to_string());
        if let Some(id) = correlation_id.filter(|_| is_true(&parts, "return-client-request-id")) {
            insert(headers, CLIENT_REQUEST_ID, &id.to_string());
        }
        response
    }

    async fn answer_entra(&self, asked: &Asked, parts: &Parts, body: &Bytes) -> Result<Response<Bytes>, EntraError> {
        let path = parts.uri.path();
        let (first, rest) = path.strip_prefix('/').unwrap_or(path).split_once('/').unwrap_or((path, ""));
        let document = match rest {
            "oauth2/v2.0/token" => return self.answer_token(asked, first, Version::V2, parts, body).await,
            "oauth2/token" => return self.answer_token(asked, first, Version::V1, parts, body).await,
            ".well-known/openid-configuration" if first == WORKLOAD && self.workload_keys.is_some() => {
                discovery::workload(asked, &self.workload_issuer)
            }
            "openid/v1/jwks" if first == WORKLOAD => match &self.workload_keys {
                Some(keys) => keys.ring().document.clone(),
                None => return Err(EntraError::not_found(path)),
            },
            "v2.0/.well-known/openid-configuration" => {
                let (tenant, issuer_tenant) = self.discovery_tenant(first)?;
                discovery::openid_v2(asked, &tenant, &issuer_tenant)
            }
            ".well-known/openid-configuration" => {
                let (tenant, issuer_tenant) = self.discovery_tenant(first)?;
                discovery::openid_v1(asked, &tenant, &issuer_tenant)
            }
            "discovery/v2.0/keys" | "discovery/keys" => {
                self.discovery_tenant(first)?;
                self.keys.ring().document.clone()
            }
            "discovery/instance" => self.instance_document(asked, parts)?,
            _ => return Err(EntraError::not_found(path)),
        };
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(EntraError::method("GET"));
        }
        let mut response = json_answer(200, &document);
        insert(response.headers_mut(), CACHE_CONTROL, DOCUMENT_CACHING);
        Ok(response)
    }

    async fn answer_token(
        &self,
        asked: &Asked,
        tenant: &str,
        version: Version,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Response<Bytes>, EntraError> {
        if parts.method != Method::POST {
            return Err(EntraError::method("POST"));
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(EntraError::too_large(BODY_BYTES_MAX));
        }
        let parameters = token_parameters(parts, body)?;
        if is_shared_tenant(tenant) {
            return Err(EntraError::not_multi_tenant(parameters.get("client_id").unwrap_or_default(), tenant));
        }
        if !self.is_tenant(tenant) {
            return Err(EntraError::unknown_tenant(tenant));
        }
        let principals = self.principals.load_full();
        let principal = token_endpoint::client(&parameters, &principals.directory, self.tenant_id)?;
        let resource = token_endpoint::resource(&parameters, version, &self.audiences, self.tenant_id)?;
        let credential = token_endpoint::credential(&parameters)?;
        let now = self.clock.now();
        match credential {
            Credential::Secret(secret) => token_endpoint::check_secret(principal, secret, now)?,
            Credential::Assertion(assertion) => {
                let token_endpoint = format!("{}/{}/oauth2/v2.0/token", asked.base, self.tenant_id);
                let check = AssertionCheck {
                    hosts: &self.hosts,
                    is_tenant: &|name| self.is_tenant(name),
                    token_endpoint: &token_endpoint,
                    federated: &principals.federated,
                    now,
                };
                check.check(assertion, principal).await?;
            }
        }
        let issued = self.issue(principal, credential.proof(), &resource, self.application_lifetime());
        tracing::info!(client_id = %principal.client_id, resource, "token issued");
        let answer = match version {
            Version::V1 => issued.v1(),
            Version::V2 => issued.v2(),
        };
        Ok(never_stored(json_answer(200, &answer)))
    }

    fn answer_metadata(&self, form: Form, parts: &Parts, caller: Caller) -> Response<Bytes> {
        match self.metadata_token(form, parts, caller) {
            Ok(answer) => never_stored(json_answer(200, &answer)),
            Err(error) => {
                tracing::info!(status = error.status, ?error, "no token for a managed identity");
                never_stored(json_answer(error.status, &error.body(form)))
            }
        }
    }

    fn metadata_token(&self, form: Form, parts: &Parts, caller: Caller) -> Result<Value, MetadataError> {
        self.metadata_hosts.asked(parts, caller.tls).map_err(|_| {
            MetadataError::new(400, "invalid_request", "the Host header is none of this service's names")
        })?;
        managed_identity::check_caller(form, &parts.headers, caller.loopback, self.app_service_header.as_ref())?;
        if form == Form::Imds && parts.uri.path() != IMDS_PATH {
            return Err(MetadataError::new(401, "unknown_source", format!("the only path here is {IMDS_PATH}")));
        }
        if parts.method != Method::GET {
            return Err(MetadataError::new(405, "invalid_request", "only GET is understood"));
        }
        let parameters = managed_identity::parameters(parts.uri.query())?;
        let (selector, resource) = managed_identity::request(form, &parameters)?;
        let principals = self.principals.load();
        let principal =
            principals.directory.managed_identity(&selector).ok_or_else(MetadataError::identity_not_found)?;
        if !token_endpoint::is_known_resource(resource, &self.audiences) {
            return Err(MetadataError::unknown_resource(resource, self.tenant_id));
        }
        let issued = self.issue(principal, Proof::Assertion, resource, self.lifetimes.managed_identity);
        tracing::info!(client_id = %principal.client_id, resource, "token issued to a managed identity");
        Ok(match form {
            Form::Imds => issued.imds(principal.client_id),
            Form::AppService => issued.app_service(principal.client_id),
        })
    }

    /// Whether a path belongs to the metadata service, if that is enabled.
    fn metadata_form(&self, path: &str) -> Option<Form> {
        if path == APP_SERVICE_PATH && self.app_service_header.is_some() {
            return Some(Form::AppService);
        }
        (self.imds && path.starts_with("/metadata/")).then_some(Form::Imds)
    }

    /// The directory in a discovery path: how to name it in endpoints, and in the issuer.
    fn discovery_tenant(&self, name: &str) -> Result<(String, String), EntraError> {
        if is_shared_tenant(name) {
            return Ok((name.to_ascii_lowercase(), "{tenantid}".to_owned()));
        }
        if self.is_tenant(name) {
            return Ok((self.tenant_id.to_string(), self.tenant_id.to_string()));
        }
        Err(EntraError::unknown_tenant_in_discovery(name))
    }

    /// MSAL asks whether an authority is one: any of our names is, as asked or as named in the question.
    fn instance_document(&self, asked: &Asked, parts: &Parts) -> Result<Value, EntraError> {
        let query = Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes()).map_err(parameters_error)?;
        let Some(endpoint) = query.get("authorization_endpoint") else {
            return Err(EntraError::missing_parameter("authorization_endpoint"));
        };
        let url = Url::parse(endpoint).ok().filter(|url| self.hosts.knows(url));
        let Some(url) = url else { return Err(EntraError::host(endpoint)) };
        let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default().to_owned();
        let (tenant, _) = self.discovery_tenant(&tenant)?;
        let authority = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let scheme = if asked.base.starts_with("https:") { "https" } else { "http" };
        let named = Asked { base: format!("{scheme}://{authority}"), authority };
        Ok(discovery::instance(&named, &tenant))
    }
}

/// The form's parameters, with a client's name and secret from the `Authorization` header if they come that way.
fn token_parameters(parts: &Parts, body: &[u8]) -> Result<Parameters, EntraError> {
    let mut parameters = Parameters::parse(body).map_err(parameters_error)?;
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Ok(parameters) };
    let broken = || EntraError::malformed_request("its Authorization header is not Basic with a client id and secret");
    let basic = header.to_str().ok().and_then(|text| text.strip_prefix("Basic ")).ok_or_else(broken)?;
    let decoded = Zeroizing::new(STANDARD.decode(basic.trim()).map_err(|_| broken())?);
    let (id, secret) = std::str::from_utf8(&decoded).ok().and_then(|text| text.split_once(':')).ok_or_else(broken)?;
    for (name, value) in [("client_id", id), ("client_secret", secret)] {
        // Both are form-encoded before they are joined (RFC 6749 §2.3.1); some clients forget.
        let field = Zeroizing::new(format!("v={}", value.replace('&', "%26")));
        let value = url::form_urlencoded::parse(field.as_bytes()).next().map(|(_, value)| value).unwrap_or_default();
        if parameters.get(name).is_none_or(|own| own != value) && !parameters.add(name, value) {
            return Err(EntraError::duplicate_parameter(name));
        }
    }
    Ok(parameters)
}

fn parameters_error(error: ParametersError) -> EntraError {
    match error {
        ParametersError::TooMany => EntraError::malformed_request("it has too many parameters"),
        ParametersError::Duplicate(name) => EntraError::duplicate_parameter(&name),
    }
}

fn is_shared_tenant(name: &str) -> bool {
    ["common", "organizations"].iter().any(|shared| shared.eq_ignore_ascii_case(name))
}

fn client_request_id(parts: &Parts) -> Option<Uuid> {
    parts.headers.get(CLIENT_REQUEST_ID)?.to_str().ok()?.parse().ok()
}

fn is_true(parts: &Parts, name: &str) -> bool {
    parts.headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

fn json_answer(status: u16, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("statuses here are constants");
    insert(response.headers_mut(), CONTENT_TYPE, "application/json; charset=utf-8");
    response
}

fn never_stored(mut response: Response<Bytes>) -> Response<Bytes> {
    insert(response.headers_mut(), CACHE_CONTROL, "no-store, no-cache");
    insert(response.headers_mut(), PRAGMA, "no-cache");
    response
}

fn insert(headers: &mut http::HeaderMap, name: HeaderName, value: &str) {
    headers.insert(name, HeaderValue::try_from(value).expect("constants and GUIDs are header values"));
}

/// More than any client sends; an assertion with its certificates takes about 5 KiB.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
const IMDS_PATH: &str = "/metadata/identity/oauth2/token";
const APP_SERVICE_PATH: &str = "/msi/token";
const WORKLOAD: &str = "workload";
/// Short, because keys are rotated at will here.
const DOCUMENT_CACHING: &str = "max-age=300, private";
const X_MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
