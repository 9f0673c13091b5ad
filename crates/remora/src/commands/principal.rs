//! `remora principal`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::Session;
use super::console::Format;
use super::describe::{self, Fields};
use crate::cli::principal::{AddCertificate, AddFederation, AddSecret, PrincipalVerb as Verb, RemoveKey};
use crate::client::{ClientError, IDENTITY, Principal, encode_segment, rfc3339, text};

pub(super) async fn perform(session: &mut Session, verb: Verb) -> Result<(), ClientError> {
    match verb {
        Verb::Create { name } => create(session, &name).await,
        Verb::List => list(session).await,
        Verb::Show { principal } => show(session, &principal).await,
        Verb::Delete { principal, confirmation } => delete(session, &principal, confirmation.yes).await,
        Verb::AddSecret(arguments) => add_secret(session, arguments).await,
        Verb::AddCertificate(arguments) => add_certificate(session, arguments).await,
        Verb::AddFederation(arguments) => add_federation(session, arguments).await,
        Verb::RemoveSecret(arguments) => remove_secret(session, arguments).await,
        Verb::RemoveCertificate(arguments) => remove_certificate(session, arguments).await,
        Verb::RemoveFederation { principal, name } => remove_federation(session, &principal, &name).await,
    }
}

async fn create(session: &mut Session, name: &str) -> Result<(), ClientError> {
    // Names of applications may stand twice in a directory; that two are meant to be one is far likelier.
    if session.client.find_principal(name).await?.is_some() {
        return Err(ClientError::Failed(format!(
            "there is a principal {name:?} already; `remora principal show` shows it"
        )));
    }
    let application = session.client.graph(Method::POST, "/applications", Some(&json!({"displayName": name}))).await?;
    let client_id = text(&application, "/appId").to_owned();
    let body = json!({"appId": client_id});
    // The directory may make the service principal with the application.
    let made = match session.client.graph(Method::POST, "/servicePrincipals", Some(&body)).await {
        Err(ClientError::Refused(refusal)) if refusal.status == http::StatusCode::CONFLICT => None,
        outcome => Some(outcome?),
    };
    let principal = match &made {
        Some(made) => Principal::of(made),
        None => session.client.principal(&client_id).await?,
    };
    let fields = vec![("name", name.to_owned()), ("client id", client_id.clone()), ("object id", principal.object_id)];
    session.console.resource(made.as_ref().unwrap_or(&application), &client_id, fields)?;
    let (word, options) = (describe::shell_word(name), &session.options);
    session.console.note(&format!(
        "\nIt can prove who it is with one of these:\n\n  remora principal add-secret {word}{options}\n  remora principal \
         add-certificate {word} FILE{options}\n  remora principal add-federation {word} --name NAME --issuer URL --subject \
         SUBJECT{options}\n\nWhat it may do, roles say:\n\n  remora role create --principal {word} --role 'Monitoring Metrics \
         Publisher' --rule RULE{options}"
    ))
}

async fn list(session: &mut Session) -> Result<(), ClientError> {
    let principals = session.client.graph_list("/servicePrincipals").await?;
    let name = |principal: &Value| text(principal, "/displayName").to_owned();
    session.console.resources(&principals, name, &["NAME", "KIND", "CLIENT ID", "OBJECT ID"], |one| {
        let principal = Principal::of(one);
        vec![principal.name, principal.kind, principal.client_id, principal.object_id]
    })
}

async fn show(session: &mut Session, named: &str) -> Result<(), ClientError> {
    let principal = session.client.principal(named).await?;
    let mut fields: Fields = vec![
        ("name", principal.name.clone()),
        ("kind", principal.kind.clone()),
        ("client id", principal.client_id.clone()),
        ("object id", principal.object_id.clone()),
    ];
    let described = if principal.is_managed_identity() {
        let identity = managed_identity(session, &principal).await?;
        fields.push(("id", text(&identity, "/id").to_owned()));
        let federations = federations_of_identity(session, &identity).await?;
        fields.extend(federations.iter().map(|one| ("federation", describe_federation(one, "/properties"))));
        identity
    } else {
        let application = application(session, &principal).await?;
        let own = |key: &str| application[key].as_array().cloned().unwrap_or_default();
        for secret in own("passwordCredentials") {
            fields.push(("secret", describe_key(&secret)));
        }
        for certificate in own("keyCredentials") {
            fields.push(("certificate", describe_key(&certificate)));
        }
        let path = format!("{}/federatedIdentityCredentials", path_of(&application));
        for federation in session.client.graph_list(&path).await? {
            fields.push(("federation", describe_federation(&federation, "")));
        }
        application
    };
    session.console.resource(&described, &principal.client_id, fields)
}

async fn delete(session: &mut Session, named: &str, yes: bool) -> Result<(), ClientError> {
    let principal = session.client.principal(named).await?;
    refuse_identity(&principal, "`remora identity delete` deletes it")?;
    session.console.confirm(&format!("delete the application {} ({})", principal.name, principal.client_id), yes)?;
    let application = application(session, &principal).await?;
    session.client.graph(Method::DELETE, &path_of(&application), None).await?;
    session.console.note(&format!("{} is deleted", principal.name))
}

async fn add_secret(session: &mut Session, arguments: AddSecret) -> Result<(), ClientError> {
    let principal = session.client.principal(&arguments.principal).await?;
    refuse_identity(&principal, "managed identities need no secret")?;
    let application = application(session, &principal).await?;
    // Before there is a secret that could not be kept.
    let mut file = match &arguments.output_file {
        Some(path) => Some(new_private_file(path)?),
        None => None,
    };
    let end = session.client.clock().now().plus(Duration::from_secs(u64::from(arguments.days) * 86_400));
    let body = json!({"passwordCredential": {"displayName": arguments.name, "endDateTime": rfc3339(end)}});
    let path = format!("{}/addPassword", path_of(&application));
    let added = match session.client.graph(Method::POST, &path, Some(&body)).await {
        Ok(added) => added,
        Err(error) => {
            if let Some(path) = &arguments.output_file {
                let _left_empty = std::fs::remove_file(path);
            }
            return Err(error);
        }
    };
    let secret = text(&added, "/secretText");
    let about = format!("secret {} of {}, good until {}", text(&added, "/keyId"), principal.name, rfc3339(end));
    if let (Some(file), Some(path)) = (&mut file, &arguments.output_file) {
        let written = file.write_all(secret.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|source| ClientError::Io { what: path.display().to_string(), source })?;
        return session.console.note(&format!("{about}, is in {}", path.display()));
    }
    match session.console.format() {
        Format::Json => session.console.json(&added),
        _ => {
            session.console.note(&format!("{about}; it is shown this once:"))?;
            session.console.line(secret)
        }
    }
}

async fn add_certificate(session: &mut Session, arguments: AddCertificate) -> Result<(), ClientError> {
    let failed = |reason: String| ClientError::Failed(format!("{}: {reason}", arguments.file.display()));
    let certificate = CertificateDer::from_pem_file(&arguments.file).map_err(|error| {
        failed(format!("no certificate can be read: {error}; give a PEM file with a CERTIFICATE section"))
    })?;
    let principal = session.client.principal(&arguments.principal).await?;
    refuse_identity(&principal, "managed identities need no certificate")?;
    change_keys(session, &principal, |keys| {
        keys.push(json!({
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
            "displayName": arguments.name,
            "key": STANDARD.encode(&certificate),
        }));
        Ok(())
    })
    .await?;
    show(session, &principal.client_id).await
}

async fn add_federation(session: &mut Session, arguments: AddFederation) -> Result<(), ClientError> {
    let AddFederation { principal, name, issuer, subject, audience } = arguments;
    let principal = session.client.principal(&principal).await?;
    let trusted = json!({"issuer": issuer, "subject": subject, "audiences": [audience]});
    if principal.is_managed_identity() {
        let identity = managed_identity(session, &principal).await?;
        let path = federation_path(&identity, &name);
        session.client.create(&path, IDENTITY.api_version, &json!({"properties": trusted})).await?;
    } else {
        let application = application(session, &principal).await?;
        let mut body = trusted;
        body["name"] = Value::from(name);
        let path = format!("{}/federatedIdentityCredentials", path_of(&application));
        session.client.graph(Method::POST, &path, Some(&body)).await?;
    }
    show(session, &principal.client_id).await
}

async fn remove_secret(session: &mut Session, arguments: RemoveKey) -> Result<(), ClientError> {
    let principal = session.client.principal(&arguments.principal).await?;
    refuse_identity(&principal, "managed identities have no secret")?;
    let application = application(session, &principal).await?;
    let body = json!({"keyId": arguments.key_id});
    session.client.graph(Method::POST, &format!("{}/removePassword", path_of(&application)), Some(&body)).await?;
    session.console.note(&format!("the secret {} is good for nothing from now on", arguments.key_id))
}

async fn remove_certificate(session: &mut Session, arguments: RemoveKey) -> Result<(), ClientError> {
    let principal = session.client.principal(&arguments.principal).await?;
    refuse_identity(&principal, "managed identities have no certificate")?;
    let key_id = arguments.key_id.to_string();
    change_keys(session, &principal, |keys| {
        let before = keys.len();
        keys.retain(|key| !text(key, "/keyId").eq_ignore_ascii_case(&key_id));
        if keys.len() == before {
            return Err(ClientError::Failed(format!("{} has no certificate {key_id}", principal.name)));
        }
        Ok(())
    })
    .await?;
    session.console.note(&format!("the certificate {key_id} is good for nothing from now on"))
}

/// Writes the certificates of an application as `change` makes them.
async fn change_keys(
    session: &Session,
    principal: &Principal,
    change: impl FnOnce(&mut Vec<Value>) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let application = application(session, principal).await?;
    let mut keys = application["keyCredentials"].as_array().cloned().unwrap_or_default();
    change(&mut keys)?;
    let body = json!({"keyCredentials": keys});
    session.client.graph(Method::PATCH, &path_of(&application), Some(&body)).await.map(|_| ())
}

async fn remove_federation(session: &mut Session, named: &str, name: &str) -> Result<(), ClientError> {
    let principal = session.client.principal(named).await?;
    let is_named =
        |one: &&Value| text(one, "/name").eq_ignore_ascii_case(name) || text(one, "/id").eq_ignore_ascii_case(name);
    let missing = || {
        ClientError::Failed(format!(
            "{} has no federation {name:?}; `remora principal show` shows which",
            principal.name
        ))
    };
    if principal.is_managed_identity() {
        let identity = managed_identity(session, &principal).await?;
        if !session.client.delete(&federation_path(&identity, name), IDENTITY.api_version).await? {
            return Err(missing());
        }
    } else {
        let application = application(session, &principal).await?;
        let path = format!("{}/federatedIdentityCredentials", path_of(&application));
        let all = session.client.graph_list(&path).await?;
        let found = all.iter().find(is_named).ok_or_else(missing)?;
        session.client.graph(Method::DELETE, &format!("{path}/{}", encode_segment(text(found, "/id"))), None).await?;
    }
    session.console.note(&format!("tokens of the federation {name} stand for {} no longer", principal.name))
}

fn refuse_identity(principal: &Principal, mend: &str) -> Result<(), ClientError> {
    if principal.is_managed_identity() {
        return Err(ClientError::Failed(format!("{} is a managed identity, no application: {mend}", principal.name)));
    }
    Ok(())
}

/// The application behind a service principal.
async fn application(session: &Session, principal: &Principal) -> Result<Value, ClientError> {
    let found = session.client.graph_filter("applications", &format!("appId eq '{}'", principal.client_id)).await?;
    found.into_iter().next().ok_or_else(|| {
        ClientError::Failed(format!(
            "the application of {} ({}) is not in this directory",
            principal.name, principal.client_id
        ))
    })
}

fn path_of(application: &Value) -> String {
    format!("/applications/{}", encode_segment(text(application, "/id")))
}

/// The resource of a managed identity.
async fn managed_identity(session: &Session, principal: &Principal) -> Result<Value, ClientError> {
    session.client.resolve(&IDENTITY, &principal.client_id).await
}

async fn federations_of_identity(session: &Session, identity: &Value) -> Result<Vec<Value>, ClientError> {
    let path = format!("{}/federatedIdentityCredentials", crate::client::encode_id(text(identity, "/id")));
    session.client.list(&path, IDENTITY.api_version).await
}

fn federation_path(identity: &Value, name: &str) -> String {
    let id = crate::client::encode_id(text(identity, "/id"));
    format!("{id}/federatedIdentityCredentials/{}", encode_segment(name))
}

fn describe_key(key: &Value) -> String {
    let end = describe::short_time(text(key, "/endDateTime"));
    let hint = match text(key, "/hint") {
        "" => String::new(),
        hint => format!(" ({hint}…)"),
    };
    let until = if end.is_empty() { String::new() } else { format!(", until {end}") };
    format!("{} {}{hint}{until}", text(key, "/keyId"), text(key, "/displayName"))
}

fn describe_federation(federation: &Value, below: &str) -> String {
    let own = |key: &str| text(federation, &format!("{below}/{key}"));
    let audience = federation.pointer(&format!("{below}/audiences/0")).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {} of {} for {audience}", text(federation, "/name"), own("subject"), own("issuer"))
}

/// A new file that its owner alone may read.
fn new_private_file(path: &Path) -> Result<std::fs::File, ClientError> {
    let options = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    options.map_err(|source| ClientError::Io { what: format!("cannot make {}", path.display()), source })
}

#[cfg(test)]
mod tests;
