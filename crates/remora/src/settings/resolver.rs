//! From the file's text to settings, with everything that is wrong collected on the way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use access::Issuer;
use catalog::Profile;
use model::EndpointDomain;
use url::Url;
use uuid::Uuid;

use super::file::{
    AuthorityEntry, DatabasesEntry, File, IssuerEntry, LimitsEntry, PropagationEntry, SubscriptionEntry,
};
use super::{
    AuthoritySettings, DEFAULT_REGION, DEFAULT_SUBSCRIPTION_NAME, PROFILES, PlainHttp, Settings, SettingsError, WalSync,
};
use crate::databases::Resting;
use crate::duration;
use crate::propagation::Span;

/// Turns a file into settings and collects what is wrong on the way.
#[derive(Default)]
pub(super) struct Resolver {
    pub(super) mistakes: Vec<String>,
}

impl Resolver {
    pub(super) fn resolve(
        mut self,
        mut file: File,
        default_data_directory: PathBuf,
    ) -> Result<Settings, SettingsError> {
        let listen = self.listen("listen", &file.listen);
        let plain_http = self.one_of("plainHttp", file.plain_http.as_deref(), PLAIN_HTTP);
        let resting = self.resting(&file.databases);
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
            self.url("publicUrl", url);
        }
        let authority = file.authority.take().and_then(|entry| self.authority(entry));
        let issuers = self.issuers(&file.issuers, authority.is_some());
        let region = file.region.take().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        self.check_label("region", &region);
        let endpoint_domain = file.endpoint_domain.take().and_then(|domain| self.domain(&domain));
        let default_profile = self.one_of("defaultProfile", file.default_profile.as_deref(), PROFILES);
        let limits = self.limits(&file.limits);
        let role_propagation = self.propagation(file.role_propagation.as_ref());
        let kept = catalog::StoreSettings::default();
        let workspace_retention = self.retention(
            "deletedWorkspaceRetention",
            file.deleted_workspace_retention.as_deref(),
            kept.workspace_retention,
        );
        let audit_retention = self.retention("auditRetention", file.audit_retention.as_deref(), kept.audit_retention);
        let storage = self.storage(&file, wal_sync);
        let queries = self.queries(&file.queries);
        let subscription = self.subscription(file.subscription.as_ref());
        let declared = self.declared(&file, subscription, &region);
        match listen {
            Some(listen) if self.mistakes.is_empty() => Ok(Settings {
                listen,
                tls: file.tls,
                plain_http,
                public_url: file.public_url.map(|url| url.trim_end_matches('/').to_owned()),
                endpoint_domain,
                region,
                data_directory: file.data_dir.unwrap_or(default_data_directory),
                backup_directory: file.backup_dir,
                storage,
                resting,
                issuers,
                authority,
                audiences: file.audiences,
                body_bytes_max: file.body_bytes_max,
                queries,
                default_profile,
                limits,
                role_propagation,
                workspace_retention,
                audit_retention,
                declared,
            }),
            _ => Err(SettingsError(self.mistakes)),
        }
    }

    fn listen(&mut self, place: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.mistakes
                .push(format!("{place}: {text:?} is not ADDRESS:PORT; write for example 0.0.0.0:7090 or [::]:7090"));
        }
        address
    }

    /// The value that `text` names; the first one when nothing is said.
    pub(super) fn one_of<T: Copy>(&mut self, place: &str, text: Option<&str>, known: &[(&str, T)]) -> T {
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

    fn url(&mut self, place: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            self.mistakes.push(format!("{place}: {text:?} is not an http or https URL"));
        }
        url
    }

    fn issuers(&mut self, entries: &[IssuerEntry], has_authority: bool) -> Vec<Issuer> {
        if entries.is_empty() && !has_authority {
            self.mistakes.push(
                "issuers: none is given, so no token would be taken; name at least one, or give `authority`".to_owned(),
            );
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

    fn authority(&mut self, entry: AuthorityEntry) -> Option<AuthoritySettings> {
        let AuthorityEntry { listen, public_url, tenant, tls, host_names } = entry;
        let listen = self.listen("authority: listen", &listen);
        let url = self.url("authority: publicUrl", &public_url);
        // Clients of Azure refuse an authority without TLS.
        if url.as_ref().is_some_and(|url| url.scheme() != "https" || url.path() != "/" || url.query().is_some()) {
            self.mistakes.push(format!(
                "authority: publicUrl: {public_url:?} must be https with a host, a port if need be, and no path"
            ));
        }
        let tenant_id = self.guid("authority: tenant", &tenant);
        let public_url = url?.origin().ascii_serialization();
        Some(AuthoritySettings { listen: listen?, public_url, tenant_id: tenant_id?, tls, host_names })
    }

    fn subscription(&mut self, entry: Option<&SubscriptionEntry>) -> (Uuid, String) {
        let Some(SubscriptionEntry { id, name }) = entry else {
            return (Uuid::nil(), DEFAULT_SUBSCRIPTION_NAME.to_owned());
        };
        let id = self.guid("subscription: id", id).unwrap_or_default();
        (id, name.clone().unwrap_or_else(|| DEFAULT_SUBSCRIPTION_NAME.to_owned()))
    }

    fn limits(&mut self, entry: &LimitsEntry) -> quota::Limits {
        let mut limits = quota::Limits::default();
        for (name, given, limit) in [
            ("ruleRequestsPerMinute", entry.rule_requests_per_minute, &mut limits.rule.requests_per_minute),
            ("ruleBytesPerMinute", entry.rule_bytes_per_minute, &mut limits.rule.bytes_per_minute),
            ("workspaceEventsPerMinute", entry.workspace_events_per_minute, &mut limits.workspace.events_per_minute),
            ("workspaceActiveSeries", entry.workspace_active_series, &mut limits.workspace.active_series),
        ] {
            match given {
                None => {}
                Some(0) => self.mistakes.push(format!("limits: {name}: 0 would take nothing; give at least 1")),
                Some(value) => *limit = value,
            }
        }
        limits
    }

    fn propagation(&mut self, entry: Option<&PropagationEntry>) -> Span {
        let Some(entry) = entry else { return Span::default() };
        let min = self.duration("rolePropagation: min", &entry.min);
        let max = self.duration("rolePropagation: max", &entry.max);
        if max < min {
            self.mistakes.push("rolePropagation: max is shorter than min".to_owned());
        }
        Span { min, max }
    }

    fn resting(&mut self, entry: &DatabasesEntry) -> Resting {
        let resting = Resting::default();
        let Some(text) = entry.close_after_idle.as_deref() else { return resting };
        let close_after_idle = self.duration("databases: closeAfterIdle", text);
        if close_after_idle < CLOSE_AFTER_IDLE_MIN {
            self.mistakes.push(format!(
                "databases: closeAfterIdle: {text:?} is less than {}s: opening takes longer than that is worth",
                CLOSE_AFTER_IDLE_MIN.as_secs()
            ));
        }
        Resting { close_after_idle, ..resting }
    }

    fn retention(&mut self, place: &str, text: Option<&str>, default: Duration) -> Duration {
        text.map_or(default, |text| self.duration(place, text))
    }

    pub(super) fn duration(&mut self, place: &str, text: &str) -> Duration {
        let span = duration::parse(text);
        if span.is_none() {
            self.mistakes.push(format!("{place}: {text:?} is no span of time; {}", duration::FORM));
        }
        span.unwrap_or_default()
    }

    pub(super) fn guid(&mut self, place: &str, text: &str) -> Option<Uuid> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == GUID_BYTES);
        if id.is_none() {
            self.mistakes.push(format!("{place} {text:?} is not a GUID"));
        }
        id
    }

    pub(super) fn profile(&mut self, place: &str, text: Option<&str>) -> Option<Profile> {
        text.map(|text| self.one_of(place, Some(text), PROFILES))
    }

    /// Part of host names, so plain and in lower case.
    fn check_label(&mut self, place: &str, text: &str) {
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if text.is_empty() || text.len() > LABEL_BYTES_MAX || !plain {
            self.mistakes
                .push(format!("{place}: {text:?} must be of lower-case letters and digits, as in `westeurope`"));
        }
    }

    fn domain(&mut self, text: &str) -> Option<EndpointDomain> {
        let domain = EndpointDomain::new(text);
        domain.map_err(|error| self.mistakes.push(format!("endpointDomain: {error}"))).ok()
    }
}

/// What may be said; the first is the default.
const PLAIN_HTTP: &[(&str, PlainHttp)] =
    &[("loopback", PlainHttp::Loopback), ("allow", PlainHttp::Allow), ("refuse", PlainHttp::Refuse)];
const WAL_SYNC: &[(&str, WalSync)] = &[("interval", WalSync::Interval), ("every-commit", WalSync::EveryCommit)];

/// Of the hyphenated form, the only one on the wire.
const GUID_BYTES: usize = 36;

/// Databases that are closed as soon as nobody uses them would be opened for each scrape.
const CLOSE_AFTER_IDLE_MIN: Duration = Duration::from_secs(1);

/// Of a label in a host name, with room for what is put before and behind a region.
const LABEL_BYTES_MAX: usize = 40;
