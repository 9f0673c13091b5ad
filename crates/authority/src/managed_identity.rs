//! The metadata service: tokens for managed identities, to processes of this machine, in the form of IMDS and of App Service.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::directory::Selector;
use crate::parameters::{Parameters, ParametersError};

/// Which of the two forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Imds,
    AppService,
}

/// Why no token is given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MetadataError {
    pub(crate) status: u16,
    error: &'static str,
    description: String,
}

impl MetadataError {
    pub(crate) fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    pub(crate) fn identity_not_found() -> Self {
        Self::new(400, "invalid_request", "Identity not found")
    }

    pub(crate) fn unknown_resource(resource: &str, tenant: uuid::Uuid) -> Self {
        let resource: String = resource.chars().filter(|character| !character.is_control()).take(200).collect();
        let description = format!(
            "AADSTS50001: The application named {resource} was not found in the tenant named {tenant}. Add it to the audiences of this authority."
        );
        Self::new(400, "invalid_resource", description)
    }

    /// The answer's body; the two forms word errors differently.
    pub(crate) fn body(&self, form: Form) -> Value {
        match form {
            Form::Imds => json!({"error": self.error, "error_description": self.description}),
            Form::AppService => json!({"statusCode": self.status, "message": self.description}),
        }
    }
}

/// Refuses requests that do not come from a process of this machine that means it: not from another machine, not through
/// a proxy, not from a browser that was tricked (which cannot set these headers).
pub(crate) fn check_caller(
    form: Form,
    headers: &HeaderMap,
    loopback: bool,
    app_service_header: Option<&SecretString>,
) -> Result<(), MetadataError> {
    if !loopback {
        return Err(MetadataError::new(403, "forbidden", "managed identities are for processes of this machine only"));
    }
    if FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return Err(MetadataError::new(400, "invalid_request", "forwarded requests are refused: ask without a proxy"));
    }
    match form {
        Form::Imds if sole(headers, "metadata").is_some_and(|value| value == b"true") => Ok(()),
        Form::Imds => Err(MetadataError::new(400, "bad_request_102", "Required metadata header not specified")),
        Form::AppService => {
            let expected = app_service_header.map(|header| sha256(header.expose_secret().as_bytes()));
            let found = sole(headers, "x-identity-header").map(sha256);
            match (expected, found) {
                (Some(expected), Some(found)) if verify_slices_are_equal(&expected, &found).is_ok() => Ok(()),
                _ => Err(MetadataError::new(401, "unauthorized", "X-IDENTITY-HEADER is missing or wrong")),
            }
        }
    }
}

/// The parameters of a request.
pub(crate) fn parameters(query: Option<&str>) -> Result<Parameters, MetadataError> {
    let parsed = Parameters::parse(query.unwrap_or_default().as_bytes());
    parsed.map_err(|error| {
        let description = match error {
            ParametersError::TooMany => "too many parameters".to_owned(),
            ParametersError::Duplicate(name) => format!("the parameter {name:?} stands there twice"),
        };
        MetadataError::new(400, "invalid_request", description)
    })
}

/// Which identity is meant, and for which resource.
pub(crate) fn request<'p>(form: Form, parameters: &'p Parameters) -> Result<(Selector<'p>, &'p str), MetadataError> {
    let version = parameters.get("api-version").unwrap_or_default();
    let version_fine = match form {
        Form::Imds => is_date(version) && version >= "2018-02-01",
        Form::AppService => version == "2019-08-01",
    };
    if !version_fine {
        let known = match form {
            Form::Imds => "2018-02-01",
            Form::AppService => "2019-08-01",
        };
        let description = format!("the parameter api-version is missing or not known; use {known}");
        return Err(MetadataError::new(400, "invalid_request", description));
    }
    let Some(resource) = parameters.get("resource") else {
        return Err(MetadataError::new(400, "invalid_request", "Required query variable 'resource' is missing"));
    };
    let selectors = [
        parameters.get("client_id").map(Selector::ClientId),
        parameters.get("object_id").map(Selector::ObjectId),
        parameters.get("principal_id").map(Selector::ObjectId),
        parameters.get("msi_res_id").map(Selector::ResourceId),
        parameters.get("mi_res_id").map(Selector::ResourceId),
    ];
    let mut given = selectors.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(selector), None) => Ok((selector, resource)),
        (None, _) => Ok((Selector::Default, resource)),
        (Some(_), Some(_)) => {
            Err(MetadataError::new(400, "invalid_request", "more than one of client_id, object_id and msi_res_id"))
        }
    }
}

/// The header's value, if it stands there once.
fn sole<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// `2018-02-01`; the text then sorts as the date.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

const FORWARDED: [&str; 2] = ["x-forwarded-for", "forwarded"];
