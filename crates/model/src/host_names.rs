//! Names of hosts that stand for one data collection endpoint or one workspace, in installations that have a domain for them.

/// The domain below which every endpoint and every workspace has a host of its own (contract §3.1, §6.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointDomain {
    /// In lower case, without a dot at its ends.
    domain: String,
}

/// What a host below the domain stands for. Names are in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnHost {
    /// A data collection endpoint, by its own part of host names.
    Ingestion {
        /// Its own part.
        host_label: String,
    },
    /// A workspace, by its handle.
    Query {
        /// Its handle.
        handle: String,
    },
}

/// A text that is no domain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is not a domain: expected labels of letters, digits and hyphens with dots between, at most {DOMAIN_BYTES_MAX} bytes"
)]
pub struct DomainError(String);

impl EndpointDomain {
    /// From a domain such as `monitor.example.org`.
    ///
    /// # Errors
    /// What is no domain, or too long for the names below it.
    pub fn new(domain: &str) -> Result<Self, DomainError> {
        let is_domain = domain.len() <= DOMAIN_BYTES_MAX && domain.split('.').all(is_label);
        match is_domain {
            true => Ok(Self { domain: domain.to_ascii_lowercase() }),
            false => Err(DomainError(domain.chars().take(DOMAIN_BYTES_MAX).collect())),
        }
    }

    /// The domain itself.
    pub fn as_str(&self) -> &str {
        &self.domain
    }

    /// The host at which an endpoint takes metrics.
    pub fn ingestion_host(&self, host_label: &str, region: &str) -> String {
        format!("{host_label}.{region}-1.metrics.ingest.{}", self.domain)
    }

    /// The host at which a workspace is queried.
    pub fn query_host(&self, handle: &str, region: &str) -> String {
        format!("{handle}.{region}.prometheus.{}", self.domain)
    }

    /// What a host stands for; `None` for every host that is not of these two forms. `host` is as in a request: in any case,
    /// perhaps with a port or the root's dot behind it. The region is not compared: labels and handles are unique without.
    pub fn parse(&self, host: &str) -> Option<OwnHost> {
        if host.len() > HOST_BYTES_MAX {
            return None;
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let below = name.strip_suffix(&self.domain)?.strip_suffix('.')?;
        let labels: Vec<&str> = below.split('.').collect();
        if !labels.iter().all(|label| is_label(label)) {
            return None;
        }
        match labels[..] {
            [label, region, "metrics", "ingest"] if is_numbered(region) => {
                Some(OwnHost::Ingestion { host_label: label.to_owned() })
            }
            [handle, _region, "prometheus"] => Some(OwnHost::Query { handle: handle.to_owned() }),
            _ => None,
        }
    }
}

/// `westus-1`: the region and the number of its stamp.
fn is_numbered(region: &str) -> bool {
    let number = region.rsplit_once('-').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Bound of a name in the domain name system, with a port behind it.
const HOST_BYTES_MAX: usize = 253 + 6;
/// Leaves room for the labels in front.
const DOMAIN_BYTES_MAX: usize = 120;
const LABEL_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> EndpointDomain {
        EndpointDomain::new("Monitor.example.org").unwrap()
    }

    #[test]
    fn domains() {
        for (text, valid) in [
            ("example.org", true),
            ("localhost", true),
            ("a-b.c1", true),
            ("", false),
            (".example.org", false),
            ("example.org.", false),
            ("-a.org", false),
            ("a_b.org", false),
            ("exämple.org", false),
            ("example.org:443", false),
            (&["a"; 61].join("."), false),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(EndpointDomain::new(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn hosts() {
        let ingestion = |label: &str| Some(OwnHost::Ingestion { host_label: label.to_owned() });
        let query = |handle: &str| Some(OwnHost::Query { handle: handle.to_owned() });
        for (host, expected) in [
            ("dce-4yha.local-1.metrics.ingest.monitor.example.org", ingestion("dce-4yha")),
            ("DCE-4yha.Local-12.METRICS.ingest.Monitor.Example.ORG.:8443", ingestion("dce-4yha")),
            ("prod.local.prometheus.monitor.example.org", query("prod")),
            ("Prod.west-us.prometheus.monitor.example.org:443", query("prod")),
            ("dce-4yha.local.metrics.ingest.monitor.example.org", None),
            ("dce-4yha.local-.metrics.ingest.monitor.example.org", None),
            ("dce-4yha.local-1.ingest.monitor.example.org", None),
            ("a.b.local-1.metrics.ingest.monitor.example.org", None),
            (".local.prometheus.monitor.example.org", None),
            ("prod.local.prometheus.monitor.example.org.evil.org", None),
            ("prod.local.prometheus.xmonitor.example.org", None),
            ("pr/od.local.prometheus.monitor.example.org", None),
            ("monitor.example.org", None),
            ("127.0.0.1:7090", None),
            ("[::1]:7090", None),
            ("", None),
            (&format!("{}.local.prometheus.monitor.example.org", "a".repeat(300)), None),
        ] {
            assert_eq!(domain().parse(host), expected, "{host}");
        }
    }

    #[test]
    fn what_is_made_is_understood() {
        let made = domain().ingestion_host("dce-4yha", "westus");
        assert_eq!(made, "dce-4yha.westus-1.metrics.ingest.monitor.example.org");
        assert_eq!(domain().parse(&made), Some(OwnHost::Ingestion { host_label: "dce-4yha".into() }));
        let made = domain().query_host("prod", "westus");
        assert_eq!(made, "prod.westus.prometheus.monitor.example.org");
        assert_eq!(domain().parse(&made), Some(OwnHost::Query { handle: "prod".into() }));
    }
}
