//! The environment of a sidecar that writes through a rule, ready to be pasted into a shell.

use std::path::Path;

use super::Session;
use super::describe::shell_word;
use crate::client::{ClientError, Principal};
use crate::up_facts::Facts;

/// Variables, with comments.
#[derive(Debug)]
pub(crate) struct Environment {
    lines: Vec<Line>,
    /// Of the identity that the sidecar has, or a word for it.
    pub(crate) client_id: String,
}

#[derive(Debug)]
enum Line {
    Variable(&'static str, String),
    /// A variable that may be wanted.
    Optional(&'static str, String),
    Comment(String),
}

impl Environment {
    /// As lines for a shell.
    pub(crate) fn as_exports(&self) -> String {
        let line = |line: &Line| match line {
            Line::Variable(name, value) => format!("export {name}={}\n", shell_word(value)),
            Line::Optional(name, value) => format!("# export {name}={}\n", shell_word(value)),
            // One line whatever it tells: a second one would be a command.
            Line::Comment(text) => format!("# {}\n", text.replace(char::is_control, " ")),
        };
        self.lines.iter().map(line).collect()
    }
}

/// The environment for `ingestion_url` with the credential of `publisher`, else of the managed identity that the sidecar of a
/// `remora up` has, else of one to be filled in.
pub(crate) async fn of(
    session: &Session,
    ingestion_url: &str,
    query_url: &str,
    publisher: Option<&Principal>,
) -> Result<Environment, ClientError> {
    let facts = session.client.facts();
    let mut lines = vec![Line::Variable("INGESTION_URL", ingestion_url.to_owned())];
    if let Some(facts) = facts {
        lines.push(Line::Variable("SSL_CERT_FILE", facts.ca_file.display().to_string()));
        if let Some(port) = port_beside(facts) {
            lines.push(Line::Comment("the sidecar of `remora up` has the usual port".to_owned()));
            lines.push(Line::Variable("LISTENING_PORT", port.to_string()));
            lines.push(Line::Variable("REMORA_LISTEN_ADDRESS", "127.0.0.1".to_owned()));
        }
    }
    let client_id = match (publisher, facts) {
        (None, Some(facts)) => facts.client_id.clone(),
        (Some(publisher), _) if !publisher.client_id.is_empty() => publisher.client_id.clone(),
        _ => "<client id of the sidecar's identity>".to_owned(),
    };
    match publisher {
        Some(publisher) if !publisher.is_managed_identity() && !publisher.client_id.is_empty() => {
            lines.extend(application(session, publisher, &client_id).await?);
        }
        _ => {
            lines.push(Line::Variable("IDENTITY_TYPE", "userAssigned".to_owned()));
            lines.push(Line::Variable("AZURE_CLIENT_ID", client_id.clone()));
            if let Some(facts) = facts {
                lines.push(Line::Variable("AZURE_POD_IDENTITY_AUTHORITY_HOST", facts.imds.clone()));
            }
        }
    }
    if !query_url.is_empty() {
        lines.push(Line::Comment(
            "to query through it, too (needs Monitoring Data Reader on the workspace):".to_owned(),
        ));
        lines.push(Line::Optional("REMORA_QUERY_URL", query_url.to_owned()));
    }
    Ok(Environment { lines, client_id })
}

/// An application with a secret in a file.
async fn application(session: &Session, publisher: &Principal, client_id: &str) -> Result<Vec<Line>, ClientError> {
    let facts = session.client.facts();
    let (tenant, authority) = match facts {
        Some(facts) => (facts.tenant_id.clone(), facts.authority_tls.clone()),
        None => session.client.directory().await?,
    };
    let mut lines = vec![
        Line::Variable("IDENTITY_TYPE", "aadApplication".to_owned()),
        Line::Variable("AZURE_CLIENT_ID", client_id.to_owned()),
        Line::Variable("AZURE_TENANT_ID", tenant),
    ];
    if !authority.is_empty() {
        lines.push(Line::Variable("AZURE_AUTHORITY_HOST", authority));
    }
    let known = facts.and_then(|facts| known_secret_file(facts, client_id));
    let file = match known {
        Some(file) => file.display().to_string(),
        None => {
            let (name, options) = (shell_word(client_id), &session.options);
            lines.push(Line::Comment(format!(
                "a new secret of {}: remora principal add-secret {name} --output-file FILE{options}",
                publisher.name
            )));
            "<file with its secret>".to_owned()
        }
    };
    lines.push(Line::Variable("REMORA_CLIENT_SECRET_FILE", file));
    Ok(lines)
}

/// The file with the secret of an application that `remora up` made.
fn known_secret_file<'a>(facts: &'a Facts, client_id: &str) -> Option<&'a Path> {
    [(&facts.application_id, &facts.client_secret_file), (&facts.admin_client_id, &facts.admin_secret_file)]
        .into_iter()
        .find(|(own, _)| own.eq_ignore_ascii_case(client_id))
        .map(|(_, file)| file.as_path())
}

/// The port after that of the sidecar that runs already.
fn port_beside(facts: &Facts) -> Option<u16> {
    let port: u16 = facts.sidecar.rsplit(':').next()?.parse().ok()?;
    port.checked_add(1)
}
