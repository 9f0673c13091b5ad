//! Where a request goes, and what that asks of it: all that is known before its body is read.

use std::sync::Arc;

use access::Propagation;
use catalog::{Endpoint, Profile, Rule, Snapshot};
use environment::Monotonic;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::request::Parts as Head;
use http::{HeaderMap, Method};
use http_serving::host_of;
use model::{AccountId, OwnHost};
use quota::{CONTRIBUTORS_NAMED, LimitName, OverLimit, RuleQuota};
use remote_write::{Version, negotiate};
use storage::{NoStorage, Purpose};

use crate::decode::Destination;
use crate::error::IngestError;
use crate::fair_share::Taker;
use crate::route::{self, Route, is_api_version};
use crate::{Parts, Settings};

/// The workspaces of a stream, and what they agree on.
pub(crate) struct Target {
    pub(crate) destinations: Vec<Destination>,
    /// One that exists and takes nothing at the moment, if there is one beside others that do.
    pub(crate) closed: Option<NoStorage>,
    /// Whether any destination is strict: that decides for all.
    pub(crate) strict: bool,
    pub(crate) body_bytes_max: u64,
    pub(crate) taker: Taker,
}

impl Target {
    /// Of these workspaces, each of which exists in the snapshot or is passed over. Those that are not open are opened.
    pub(crate) async fn new(
        parts: &Parts,
        settings: &Settings,
        snapshot: &Snapshot,
        rule: &Rule,
        accounts: &[AccountId],
    ) -> Result<Self, IngestError> {
        let workspace = accounts.first().copied().expect("a stream without destinations was refused");
        let mut target = Self {
            destinations: Vec::with_capacity(accounts.len()),
            closed: None,
            strict: false,
            body_bytes_max: settings.body_bytes_max,
            taker: Taker { workspace, rule: number_of(&rule.immutable_id) },
        };
        for &account in accounts {
            // A snapshot holds every workspace that its rules name.
            let Some(workspace) = snapshot.workspace_by_account(account) else {
                target.closed = Some(NoStorage::Unknown(account));
                continue;
            };
            let storage = match parts.workspaces.storage(account, Purpose::Write).await {
                Ok(storage) => storage,
                Err(none) => {
                    target.closed = Some(none);
                    continue;
                }
            };
            match workspace.profile {
                Profile::Strict => target.strict = true,
                Profile::Azure => target.body_bytes_max = target.body_bytes_max.min(AZURE_BODY_BYTES_MAX),
            }
            let (quota, profile) = (parts.quotas.workspace(account), workspace.profile);
            target.destinations.push(Destination { storage, quota, profile });
        }
        match target.closed.take() {
            Some(none) if target.destinations.is_empty() => Err(none.into()),
            closed => Ok(Self { closed, ..target }),
        }
    }

    /// The version that the request is of, as far as the destinations speak it.
    pub(crate) fn negotiate(&self, headers: &HeaderMap) -> Result<Version, IngestError> {
        let version = negotiate(text(headers, CONTENT_TYPE), text(headers, CONTENT_ENCODING))?;
        match version {
            Version::V2 if !self.strict => Err(IngestError::OnlyVersion1),
            version => Ok(version),
        }
    }

    /// Charges the request to the rule, and asks whether the workspaces take any event now. Those that drop silently do not
    /// refuse here: what they drop is to be counted.
    pub(crate) fn admit(&self, rule: &RuleQuota, bytes: u64, now: Monotonic) -> Result<(), IngestError> {
        rule.admit(bytes, now).map_err(|over| self.over_limit(over, now))?;
        for destination in self.destinations.iter().filter(|_| self.strict) {
            destination.quota.check_events(now).map_err(|over| self.over_limit(over, now))?;
        }
        Ok(())
    }

    /// A rule has no metrics of its own to name: those of the workspaces behind it are.
    #[cold]
    fn over_limit(&self, mut over: OverLimit, now: Monotonic) -> IngestError {
        if matches!(over.limit, LimitName::RuleRequests | LimitName::RuleBytes) {
            let all = self.destinations.iter().flat_map(|destination| destination.quota.contributors(now));
            over.contributors = all.collect();
            over.contributors.sort_by_key(|contributor| std::cmp::Reverse(contributor.events));
            over.contributors.truncate(CONTRIBUTORS_NAMED);
        }
        IngestError::OverLimit(Box::new(over))
    }
}

/// The workspaces that the request's stream goes to; at least one.
pub(crate) fn destinations<'r>(head: &Head, route: &Route<'_>, rule: &'r Rule) -> Result<&'r [AccountId], IngestError> {
    if head.method != Method::POST {
        return Err(IngestError::Method(head.method.to_string()));
    }
    if let Some(version) = route::api_version(head.uri.query()).filter(|version| !is_api_version(version)) {
        return Err(IngestError::ApiVersion(version.to_owned()));
    }
    let (stream, rule_id) = (route.stream.to_owned(), rule.immutable_id.clone());
    match rule.destinations(route.stream) {
        None => Err(IngestError::UnknownStream { stream, rule: rule_id }),
        Some([]) => Err(IngestError::NoDestination { stream, rule: rule_id }),
        Some(accounts) => Ok(accounts),
    }
}

/// Whether the endpoint that the request was sent to takes it for this rule. Without a host of its own in the request, that
/// is the rule's endpoint.
pub(crate) fn check_endpoint(
    head: &Head,
    settings: &Settings,
    snapshot: &Snapshot,
    rule: &Rule,
) -> Result<(), IngestError> {
    let host = host_of(&head.uri, &head.headers).unwrap_or("");
    let own = settings.endpoint_domain.as_ref().and_then(|domain| domain.parse(host));
    let bound = rule.endpoint.as_ref().and_then(|id| snapshot.endpoints().get(&catalog::key(id)));
    let endpoint: Option<&Arc<Endpoint>> = match own {
        Some(OwnHost::Ingestion { host_label }) => {
            let addressed = snapshot.endpoint_by_host_label(&host_label);
            let addressed = addressed.ok_or_else(|| IngestError::UnknownEndpoint(host.to_owned()))?;
            if bound.is_none_or(|bound| bound.immutable_id != addressed.immutable_id) {
                return Err(IngestError::NotBound {
                    rule: rule.immutable_id.clone(),
                    rule_resource: rule.envelope.id.clone(),
                    endpoint: addressed.envelope.id.clone(),
                });
            }
            Some(addressed)
        }
        _ => bound,
    };
    match endpoint.filter(|endpoint| endpoint.public_network_access.eq_ignore_ascii_case("Disabled")) {
        Some(endpoint) => Err(IngestError::NoPublicAccess(endpoint.envelope.id.clone())),
        None => Ok(()),
    }
}

/// When a change of rights on a rule comes into force: late only if all its workspaces are as Azure's.
pub(crate) fn propagation(snapshot: &Snapshot, rule: &Rule) -> Propagation {
    let mut workspaces = rule.routes.iter().flat_map(|route| &route.workspaces).peekable();
    let is_azure = |account: &AccountId| {
        snapshot.workspace_by_account(*account).is_some_and(|workspace| workspace.profile == Profile::Azure)
    };
    match workspaces.peek().is_some() && workspaces.all(is_azure) {
        true => Propagation::Delayed,
        false => Propagation::AtOnce,
    }
}

pub(crate) fn check_length(announced: Option<u64>, limit: u64) -> Result<(), IngestError> {
    match announced {
        Some(bytes) if bytes > limit => Err(IngestError::TooLarge { limit, provided: Some(bytes) }),
        _ => Ok(()),
    }
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// A header's value. One that is no text reads as something that no rule knows, rather than as absent.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("(not text)"))
}

/// The digits of an immutable id.
fn number_of(immutable_id: &str) -> u128 {
    let digits = immutable_id.rsplit_once('-').map_or("", |(_, digits)| digits);
    u128::from_str_radix(digits, 16).unwrap_or_default()
}

/// Azure's bound on a body (contract §3.3).
pub(crate) const AZURE_BODY_BYTES_MAX: u64 = 1 << 20;
