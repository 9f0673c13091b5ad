//! The settings file of `remora serve`: what may stand in it, and what it means.
//!
//! Parsed in two steps: [`File`] is the text's shape, [`Settings`] what a service can be built from. Every mistake of a
//! file is reported at once, with the place and the mend.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use access::{Issuer, IssuerError, RoleAssignment};
use catalog::{Endpoint, PROMETHEUS_STREAM, Profile, Rule, Snapshot, Workspace};
use model::{AccountId, ResourceId};
use serde::Deserialize;

/// What `remora serve` runs with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
    pub plain_http: PlainHttp,
    pub public_url: Option<String>,
    pub data_directory: PathBuf,
    pub wal_sync: WalSync,
    pub issuers: Vec<Issuer>,
    pub audiences: Audiences,
    pub body_bytes_max: Option<u64>,
    pub catalog: Snapshot,
    pub roles: Vec<RoleAssignment>,
}

/// Certificate and key, both PEM; read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Whether requests without TLS are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    /// Only where the listener itself is on loopback.
    Loopback,
    /// Everywhere: behind a proxy that ends TLS.
    Allow,
    /// Nowhere.
    Refuse,
}

/// When written samples are forced to the disk (design: an acknowledged sample survives a crash).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalSync {
    /// Regularly: a power cut may cost the last second.
    Interval,
    /// Before every answer.
    EveryCommit,
}

/// Audiences that tokens must name, per edge.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audiences {
    pub ingestion: Vec<String>,
    pub query: Vec<String>,
}

impl Default for Audiences {
    fn default() -> Self {
        Self {
            ingestion: vec!["https://monitor.azure.com".to_owned()],
            query: vec!["https://prometheus.monitor.azure.com".to_owned()],
        }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default = "default_listen")]
    listen: String,
    tls: Option<TlsFiles>,
    plain_http: Option<String>,
    public_url: Option<String>,
    data_dir: Option<PathBuf>,
    wal_sync: Option<String>,
    issuers: Vec<IssuerEntry>,
    #[serde(default)]
    audiences: Audiences,
    body_bytes_max: Option<u64>,
    workspaces: Vec<WorkspaceEntry>,
    #[serde(default)]
    endpoints: Vec<EndpointEntry>,
    #[serde(default)]
    rules: Vec<RuleEntry>,
    #[serde(default)]
    role_assignments: Vec<AssignmentEntry>,
}

/// Whose tokens are taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum IssuerEntry {
    /// A Microsoft Entra tenant, by its id; `authority` for another cloud than the public one.
    Entra { tenant: String, authority: Option<String> },
    /// Any OpenID Connect issuer; the key set's address is discovered unless it is given.
    Oidc { issuer: String, jwks_uri: Option<String> },
}

impl IssuerEntry {
    fn issuer(&self) -> Result<Issuer, IssuerError> {
        match self {
            Self::Entra { tenant, authority } => {
                Issuer::entra_tenant(authority.as_deref().unwrap_or(PUBLIC_AUTHORITY), tenant)
            }
            Self::Oidc { issuer, jwks_uri: None } => Issuer::openid(issuer),
            Self::Oidc { issuer, jwks_uri: Some(uri) } => Issuer::openid(issuer)?.with_key_set_at(uri),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorkspaceEntry {
    name: String,
    account_id: String,
    resource_id: Option<String>,
    profile: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndpointEntry {
    name: String,
    immutable_id: String,
    resource_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleEntry {
    name: String,
    immutable_id: String,
    resource_id: Option<String>,
    endpoint: Option<String>,
    streams: Option<Vec<String>>,
    workspaces: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AssignmentEntry {
    principal: String,
    role: String,
    /// `workspace/NAME`, `rule/NAME` or a resource id.
    scope: String,
    /// The issuer that the principal must come from; any of those configured when it is left out.
    issuer: Option<String>,
}

/// Settings that cannot be used: every mistake, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct SettingsError(pub Vec<String>);

impl Settings {
    /// Reads a settings file's text. `default_data_directory` stands in for `dataDir`.
    ///
    /// # Errors
    /// Every mistake in it, with its place.
    pub(crate) fn parse(text: &str, default_data_directory: PathBuf) -> Result<Self, SettingsError> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| SettingsError(vec![error.to_string()]))?;
        Resolver::default().resolve(file, default_data_directory)
    }
}

/// Turns a file into settings and collects what is wrong on the way.
#[derive(Default)]
struct Resolver {
    mistakes: Vec<String>,
}

impl Resolver {
    fn resolve(mut self, file: File, default_data_directory: PathBuf) -> Result<Settings, SettingsError> {
        let listen = self.listen(&file.listen);
        let plain_http = self.one_of("plainHttp", file.plain_http.as_deref(), PLAIN_HTTP);
        let wal_sync = self.one_of("walSync", file.wal_sync.as_deref(), WAL_SYNC);
        if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback())
            && file.tls.is_none()
            && plain_http != PlainHttp::Allow
        {
            self.mistakes.push(format!(
                "tls: {listen} takes requests of other machines, which must come over TLS: give `tls`, or `plainHttp: allow` \
                 behind a proxy that ends TLS"
            ));
        }
        if let Some(url) = file.public_url.as_deref() {
            self.check_url("publicUrl", url);
        }
        let issuers = self.issuers(&file.issuers);
        let workspaces: Vec<Workspace> = file.workspaces.iter().filter_map(|entry| self.workspace(entry)).collect();
        let endpoints: Vec<Endpoint> = file.endpoints.iter().filter_map(|entry| self.endpoint(entry)).collect();
        let rules: Vec<(String, Rule)> = file
            .rules
            .iter()
            .filter_map(|entry| Some((entry.name.clone(), self.rule(entry, &workspaces, &endpoints)?)))
            .collect();
        let roles =
            file.role_assignments.iter().filter_map(|entry| self.assignment(entry, &workspaces, &rules)).collect();
        let catalog = match Snapshot::new(workspaces, endpoints, rules.into_iter().map(|(_, rule)| rule)) {
            Ok(catalog) => catalog,
            Err(error) => {
                self.mistakes.push(error.to_string());
                Snapshot::default()
            }
        };
        match listen {
            Some(listen) if self.mistakes.is_empty() => Ok(Settings {
                listen,
                tls: file.tls,
                plain_http,
                public_url: file.public_url.map(|url| url.trim_end_matches('/').to_owned()),
                data_directory: file.data_dir.unwrap_or(default_data_directory),
                wal_sync,
                issuers,
                audiences: file.audiences,
                body_bytes_max: file.body_bytes_max,
                catalog,
                roles,
            }),
            _ => Err(SettingsError(self.mistakes)),
        }
    }

    fn listen(&mut self, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.mistakes
                .push(format!("listen: {text:?} is not ADDRESS:PORT; write for example 0.0.0.0:7090 or [::]:7090"));
        }
        address
    }

    /// The value that `text` names; the first one when nothing is said.
    fn one_of<T: Copy>(&mut self, place: &str, text: Option<&str>, known: &[(&str, T)]) -> T {
        let found = text.map(|text| (text, known.iter().find(|(name, _)| *name == text)));
        match found {
            Some((_, Some((_, value)))) => *value,
            Some((text, None)) => {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                self.mistakes.push(format!("{place}: {text:?} is not one of: {}", names.join(", ")));
                known[0].1
            }
            None => known[0].1,
        }
    }

    fn check_url(&mut self, place: &str, text: &str) {
        match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => self.mistakes.push(format!("{place}: {text:?} is not an http or https URL")),
        }
    }

    fn issuers(&mut self, entries: &[IssuerEntry]) -> Vec<Issuer> {
        if entries.is_empty() {
            self.mistakes.push("issuers: none is given, so no token would be taken; name at least one".to_owned());
        }
        let mut issuers = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match entry.issuer() {
                Ok(issuer) => issuers.push(issuer),
                Err(error) => self.mistakes.push(format!("issuers[{index}]: {error}")),
            }
        }
        issuers
    }

    fn workspace(&mut self, entry: &WorkspaceEntry) -> Option<Workspace> {
        let place = format!("workspace {:?}", entry.name);
        self.check_name(&place, &entry.name);
        let account_id: Option<AccountId> = entry.account_id.parse().ok();
        if account_id.is_none() {
            self.mistakes.push(format!("{place}: accountId {:?} is not a GUID", entry.account_id));
        }
        let resource_id =
            self.resource_id(&place, entry.resource_id.as_deref(), "Microsoft.Monitor/accounts", &entry.name);
        let profiles = [("strict", Profile::Strict), ("azure", Profile::Azure)];
        let profile = self.one_of(&format!("{place}: profile"), entry.profile.as_deref(), &profiles);
        Some(Workspace { account_id: account_id?, resource_id: resource_id?, handle: entry.name.clone(), profile })
    }

    fn endpoint(&mut self, entry: &EndpointEntry) -> Option<Endpoint> {
        let place = format!("endpoint {:?}", entry.name);
        self.check_name(&place, &entry.name);
        let kind = "Microsoft.Insights/dataCollectionEndpoints";
        let resource_id = self.resource_id(&place, entry.resource_id.as_deref(), kind, &entry.name)?;
        Some(Endpoint { resource_id, immutable_id: entry.immutable_id.clone() })
    }

    fn rule(&mut self, entry: &RuleEntry, workspaces: &[Workspace], endpoints: &[Endpoint]) -> Option<Rule> {
        let place = format!("rule {:?}", entry.name);
        self.check_name(&place, &entry.name);
        let mut destinations = Vec::new();
        for name in &entry.workspaces {
            match workspaces.iter().find(|workspace| workspace.handle.eq_ignore_ascii_case(name)) {
                Some(workspace) => destinations.push(workspace.account_id),
                None => self.mistakes.push(format!("{place}: there is no workspace {name:?}")),
            }
        }
        let endpoint = match &entry.endpoint {
            None => None,
            Some(name) => {
                match endpoints.iter().find(|endpoint| endpoint.resource_id.name().eq_ignore_ascii_case(name)) {
                    Some(endpoint) => Some(endpoint.resource_id.clone()),
                    None => {
                        self.mistakes.push(format!("{place}: there is no endpoint {name:?}"));
                        None
                    }
                }
            }
        };
        let kind = "Microsoft.Insights/dataCollectionRules";
        Some(Rule {
            resource_id: self.resource_id(&place, entry.resource_id.as_deref(), kind, &entry.name)?,
            immutable_id: entry.immutable_id.clone(),
            endpoint,
            streams: entry.streams.clone().unwrap_or_else(|| vec![PROMETHEUS_STREAM.to_owned()]),
            destinations,
        })
    }

    fn assignment(
        &mut self,
        entry: &AssignmentEntry,
        workspaces: &[Workspace],
        rules: &[(String, Rule)],
    ) -> Option<RoleAssignment> {
        let scope = if let Some(name) = entry.scope.strip_prefix("workspace/") {
            let found = workspaces.iter().find(|workspace| workspace.handle.eq_ignore_ascii_case(name));
            found.map(|workspace| workspace.resource_id.clone())
        } else if let Some(name) = entry.scope.strip_prefix("rule/") {
            rules.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, rule)| rule.resource_id.clone())
        } else {
            entry.scope.parse().ok()
        };
        let place = format!("role assignment of {:?}", entry.principal);
        if scope.is_none() {
            self.mistakes.push(format!(
                "{place}: scope {:?} is nothing known; write workspace/NAME, rule/NAME or a resource id",
                entry.scope
            ));
        }
        let known = access::RoleDefinition::built_in();
        let role =
            known.iter().find(|role| [&role.id, &role.name].iter().any(|own| own.eq_ignore_ascii_case(&entry.role)));
        if role.is_none() {
            let names: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
            self.mistakes.push(format!("{place}: there is no role {:?}; known are: {}", entry.role, names.join(", ")));
        }
        Some(RoleAssignment {
            principal_id: entry.principal.clone(),
            issuer: entry.issuer.as_deref().map(Into::into),
            role_definition_id: role?.id.clone(),
            scope: scope?,
        })
    }

    fn check_name(&mut self, place: &str, name: &str) {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || !plain || name.starts_with('-') || name.ends_with('-') {
            self.mistakes.push(format!("{place}: a name has letters, digits and inner hyphens only"));
        }
    }

    fn resource_id(&mut self, place: &str, given: Option<&str>, kind: &str, name: &str) -> Option<ResourceId> {
        let text = given.map_or_else(|| default_resource_id(kind, name), str::to_owned);
        match text.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                self.mistakes.push(format!("{place}: {error}"));
                None
            }
        }
    }
}

/// The ARM id of a resource for which none was given: all such resources lie in one group of the zero subscription.
pub(crate) fn default_resource_id(kind: &str, name: &str) -> String {
    format!("/subscriptions/{ZERO_SUBSCRIPTION}/resourceGroups/remora/providers/{kind}/{name}")
}

fn default_listen() -> String {
    DEFAULT_LISTEN.to_owned()
}

/// What may be said; the first is the default.
const PLAIN_HTTP: &[(&str, PlainHttp)] =
    &[("loopback", PlainHttp::Loopback), ("allow", PlainHttp::Allow), ("refuse", PlainHttp::Refuse)];
const WAL_SYNC: &[(&str, WalSync)] = &[("interval", WalSync::Interval), ("every-commit", WalSync::EveryCommit)];

const DEFAULT_LISTEN: &str = "127.0.0.1:7090";

/// Where the public cloud's directories are.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

/// The subscription of resources that nobody put into one.
const ZERO_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// How often `walSync: interval` forces the log to the disk.
pub(crate) const WAL_SYNC_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
