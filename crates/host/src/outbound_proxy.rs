//! Which outgoing connections go through a forward proxy, and how it is asked (`CONNECT`).

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A forward proxy for `https` targets and the hosts that are reached without it.
///
/// Never used for loopback and link-local addresses nor `localhost`: the instance metadata service answers only on the
/// machine itself, and a proxy asked for it would see the machine's token.
#[derive(Clone)]
pub struct OutboundProxy {
    /// `host:port` of the proxy.
    authority: String,
    /// Value of `Proxy-Authorization`, if the proxy's URL has user information. A secret.
    authorization: Option<String>,
    direct: Vec<DirectHost>,
}

/// Settings that are no proxy. Never repeats the whole URL: it may hold a password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutboundProxyError {
    /// Not a URL.
    #[error("the proxy's address is not a URL such as http://proxy.example:3128")]
    NotAUrl,
    /// A scheme that is not spoken here.
    #[error("the proxy's scheme is {0:?}; only http is supported")]
    Scheme(String),
}

impl OutboundProxy {
    /// From the values that programs usually take from `HTTPS_PROXY` and `NO_PROXY`. An empty `url` means no proxy.
    ///
    /// `no_proxy` lists hosts with commas between: a name covers its subdomains too (`example.com`, `.example.com`),
    /// addresses and networks (`10.0.0.0/8`) cover literal addresses, `*` covers all.
    ///
    /// # Errors
    /// [`OutboundProxyError`] when `url` is not one of a proxy.
    pub fn parse(url: &str, no_proxy: &str) -> Result<Option<Self>, OutboundProxyError> {
        if url.trim().is_empty() {
            return Ok(None);
        }
        // `proxy.example:3128` is common, and would parse as a URL with the scheme `proxy.example`.
        let absolute = if url.contains("://") { url.trim().to_owned() } else { format!("http://{}", url.trim()) };
        let url = url::Url::parse(&absolute).map_err(|_| OutboundProxyError::NotAUrl)?;
        if url.scheme() != "http" {
            return Err(OutboundProxyError::Scheme(url.scheme().to_owned()));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(OutboundProxyError::NotAUrl)?;
        Ok(Some(Self {
            authority: format!("{host}:{}", url.port_or_known_default().unwrap_or(80)),
            authorization: basic_authorization(&url),
            direct: no_proxy.split(',').filter_map(DirectHost::parse).collect(),
        }))
    }

    /// Whether connections to `host` (a name or a literal address, without brackets) go through the proxy.
    pub fn covers(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        let local = match address {
            Some(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
            Some(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
            None => host.eq_ignore_ascii_case("localhost"),
        };
        !local && !self.direct.iter().any(|direct| direct.matches(host, address))
    }

    /// `host:port` to connect to.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The request that opens a tunnel to `target` (`host:port`). Holds the proxy's password, if it has one.
    pub fn connect_request(&self, target: &str) -> String {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        request
    }
}

impl fmt::Debug for OutboundProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorization = self.authorization.as_ref().map(|_| "***");
        f.debug_struct("OutboundProxy")
            .field("authority", &self.authority)
            .field("authorization", &authorization)
            .field("direct", &self.direct)
            .finish()
    }
}

/// A host, or many, that are reached without the proxy.
#[derive(Clone, PartialEq, Debug)]
enum DirectHost {
    All,
    /// A name in lower case, with its subdomains.
    Domain(String),
    /// Addresses whose first bits are those of the address.
    Network(IpAddr, u32),
}

impl DirectHost {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().trim_start_matches('[').trim_end_matches(']');
        if entry == "*" {
            return Some(Self::All);
        }
        let (address, bits) = match entry.split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok()),
            None => (entry, Some(u32::MAX)),
        };
        if let (Ok(address), Some(bits)) = (address.parse(), bits) {
            return Some(Self::Network(address, bits));
        }
        let domain = entry.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        (!domain.is_empty()).then_some(Self::Domain(domain))
    }

    fn matches(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::All, _) => true,
            (Self::Network(network, bits), Some(address)) => in_network(*network, *bits, address),
            (Self::Domain(domain), None) => {
                let host = host.to_ascii_lowercase();
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            _ => false,
        }
    }
}

fn in_network(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let same_start = |left: u128, right: u128, width: u32| {
        let ignored = width.saturating_sub(bits);
        ignored >= width || (left >> ignored) == (right >> ignored)
    };
    match (network, address) {
        (IpAddr::V4(left), IpAddr::V4(right)) => same_start(left.to_bits().into(), right.to_bits().into(), 32),
        (IpAddr::V6(left), IpAddr::V6(right)) => same_start(left.to_bits(), right.to_bits(), 128),
        _ => false,
    }
}

fn basic_authorization(url: &url::Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let credentials = [percent_decoded(url.username()), percent_decoded(url.password().unwrap_or(""))].join(&b':');
    Some(format!("Basic {}", STANDARD.encode(credentials)))
}

/// User information of a URL is percent-encoded, a header's is not.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(bytes[index]));
        index += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_reached_directly() {
        let proxy = OutboundProxy::parse(
            "http://proxy.corp:3128",
            "internal.example, .svc.cluster.local,*.dev,10.0.0.0/8,192.168.1.7,fd00::/8",
        )
        .unwrap()
        .unwrap();
        for (host, through_proxy) in [
            ("login.microsoftonline.com", true),
            ("169.254.169.254", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("LOCALHOST", false),
            ("internal.example", false),
            ("a.Internal.Example", false),
            ("notinternal.example", true),
            ("dce.monitoring.svc.cluster.local", false),
            ("host.dev", false),
            ("10.200.3.4", false),
            ("11.0.0.1", true),
            ("192.168.1.7", false),
            ("192.168.1.8", true),
            ("fd12::1", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(proxy.covers(host), through_proxy, "{host}");
        }
        let none = OutboundProxy::parse("http://proxy.corp:3128", "*").unwrap().unwrap();
        assert!(!none.covers("login.microsoftonline.com"));
    }

    #[test]
    fn how_the_proxy_is_asked() {
        for (url, authority, request) in [
            ("http://proxy.corp", "proxy.corp:80", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n"),
            ("proxy.corp:3128", "proxy.corp:3128", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n"),
            (
                "http://user:p%40ss@[::1]:3128/",
                "[::1]:3128",
                "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n",
            ),
        ] {
            let proxy = OutboundProxy::parse(url, "").unwrap().unwrap();
            assert_eq!((proxy.authority(), proxy.connect_request("t:443").as_str()), (authority, request), "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let proxy = OutboundProxy::parse("http://user:geheim@proxy:1", "").unwrap();
        assert!(!format!("{proxy:?}").contains("geheim") && !format!("{proxy:?}").contains("Basic"));
        let error = OutboundProxy::parse("socks5://user:geheim@proxy:1", "").unwrap_err();
        assert_eq!(error, OutboundProxyError::Scheme("socks5".to_owned()));
        assert!(OutboundProxy::parse(" ", "").unwrap().is_none());
        assert_eq!(OutboundProxy::parse("http://user:geheim@:1", "").unwrap_err(), OutboundProxyError::NotAUrl);
    }
}
