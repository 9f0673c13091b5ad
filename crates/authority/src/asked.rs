//! The address a request was sent to. Discovery names endpoints under it.

use std::collections::HashSet;

use http::request::Parts;
use url::{Host, Url};

/// Scheme, host and port as the client wrote them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// `https://localhost:7091`, no slash at the end.
    pub(crate) base: String,
    /// `localhost:7091`
    pub(crate) authority: String,
}

/// The names this authority answers to. A foreign name means that somebody made a browser ask (DNS rebinding), or that
/// a proxy in between is misconfigured.
#[derive(Debug)]
pub(crate) struct HostNames(HashSet<String>);

impl HostNames {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let always = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        Self(names.into_iter().chain(always).map(|name| name.to_ascii_lowercase()).collect())
    }

    /// The address that was asked, if it is one of ours; else what was there.
    pub(crate) fn asked(&self, parts: &Parts, tls: bool) -> Result<Asked, String> {
        // HTTP/2 and absolute requests carry it in the target, which then outranks the header (RFC 9112 §3.2.2).
        let header = parts.headers.get_all(http::header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
        let named: Vec<&str> = match parts.uri.authority() {
            Some(authority) => vec![authority.as_str()],
            None => header.take(2).collect(),
        };
        let &[authority] = named.as_slice() else { return Err(named.join(", ")) };
        let scheme = if tls { "https" } else { "http" };
        let base = format!("{scheme}://{authority}");
        let url = Url::parse(&base).map_err(|_| authority.to_owned())?;
        // Nothing but host and port: a user name or a path would end up in the documents.
        let bare = url.path() == "/" && url.username().is_empty() && url.password().is_none();
        if bare && !authority.contains(['/', '\\', '?', '#', '@']) && self.knows(&url) {
            Ok(Asked { base, authority: authority.to_owned() })
        } else {
            Err(authority.to_owned())
        }
    }

    /// Whether the URL's host is one of ours, on whatever port: ports are mapped.
    pub(crate) fn knows(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Domain(name)) => self.0.contains(name),
            Some(address) => self.0.contains(&address.to_string()),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, target: &str) -> Result<Asked, String> {
        let request = http::Request::get(target).header("host", host).body(()).unwrap();
        HostNames::new(["Entra.Local".to_owned()]).asked(&request.into_parts().0, true)
    }

    #[test]
    fn own_names_on_any_port() {
        for host in ["localhost", "LOCALHOST:7091", "127.0.0.1:1", "[::1]:7091", "entra.local", "entra.local:443"] {
            assert_eq!(asked(host, "/x").unwrap().base, format!("https://{host}"));
        }
        assert_eq!(asked("ignored.example", "https://entra.local:1/x").unwrap().authority, "entra.local:1");
    }

    #[test]
    fn foreign_names() {
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:port",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost/x",
            "localhost?x",
            "localhost#x",
            "127.0.0.2",
            "[::2]",
            "[::1",
            "169.254.169.254",
        ] {
            assert!(asked(host, "/x").is_err(), "{host:?}");
        }
        let two = http::Request::get("/").header("host", "localhost").header("host", "localhost").body(()).unwrap();
        assert!(HostNames::new([]).asked(&two.into_parts().0, false).is_err(), "two hosts");
        let none = http::Request::get("/").body(()).unwrap();
        assert!(HostNames::new([]).asked(&none.into_parts().0, false).is_err(), "no host");
    }
}
