//! What the name resolves to, and what kind of addresses these are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use url::Host;

use crate::report::{Link, Step};

/// Resolves `host` with the system's resolver.
pub(crate) async fn look(host: Host<&str>, port: u16) -> (Vec<Step>, Option<Vec<SocketAddr>>) {
    let name = match host {
        Host::Ipv4(address) => return literal(IpAddr::V4(address), port),
        Host::Ipv6(address) => return literal(IpAddr::V6(address), port),
        Host::Domain(name) => name,
    };
    match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<SocketAddr> = addresses.collect();
            addresses.dedup();
            addresses.truncate(ADDRESSES_MAX);
            (vec![judge(name, &addresses)], (!addresses.is_empty()).then_some(addresses))
        }
        Ok(Err(error)) => (vec![no_answer(name, &error)], None),
        Err(_) => {
            let finding = format!("the resolver does not answer for {name} within {} s", LOOKUP_TIMEOUT.as_secs());
            (vec![Step::failed(Link::Dns, finding, RESOLVER_MEND)], None)
        }
    }
}

fn literal(address: IpAddr, port: u16) -> (Vec<Step>, Option<Vec<SocketAddr>>) {
    let finding = format!("{address} is an address already ({})", Reach::of(address).name());
    (vec![Step::ok(Link::Dns, finding)], Some(vec![SocketAddr::new(address, port)]))
}

/// What `addresses` say about the way that `name` is reached.
fn judge(name: &str, addresses: &[SocketAddr]) -> Step {
    if addresses.is_empty() {
        return Step::failed(Link::Dns, format!("{name} has no address"), name_mend(name));
    }
    let reaches: Vec<Reach> = addresses.iter().map(|address| Reach::of(address.ip())).collect();
    let listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let listed = listed.join(", ");
    let all = |reach| reaches.iter().all(|found| *found == reach);
    let step = if is_azure(name) {
        if all(Reach::Public) {
            Step::ok(Link::Dns, format!("{name} resolves to {listed}: public, no private endpoint is used"))
        } else if all(Reach::Private) {
            Step::ok(Link::Dns, format!("{name} resolves to {listed}: private, so through a private endpoint"))
        } else {
            let mend = "make all addresses of the name either the private endpoint's or Azure's public ones: look into \
                        the private DNS zone and the hosts file";
            Step::warning(Link::Dns, format!("{name} resolves to {listed}, not all of which can be Azure's"), mend)
        }
    } else {
        Step::ok(Link::Dns, format!("{name} resolves to {listed} ({})", reaches[0].name()))
    };
    addresses
        .iter()
        .zip(reaches)
        .fold(step, |step, (address, reach)| step.with("address", format!("{} ({})", address.ip(), reach.name())))
}

fn no_answer(name: &str, error: &io::Error) -> Step {
    // The C libraries have no codes that get through to here, but words: glibc's and musl's.
    let text = error.to_string();
    let text = text.rsplit(": ").next().unwrap_or(&text);
    let resolver_is_down = ["Temporary failure", "Try again"].iter().any(|words| text.contains(words));
    if resolver_is_down {
        return Step::failed(Link::Dns, format!("no name server answers for {name}: {text}"), RESOLVER_MEND);
    }
    Step::failed(Link::Dns, format!("{name} does not resolve: {text}"), name_mend(name))
}

fn name_mend(name: &str) -> String {
    if is_azure(name) {
        "compare the host of INGESTION_URL with the metrics ingestion endpoint on the workspace's overview page (or of the \
         data collection endpoint); with private link, the zone privatelink.monitor.azure.com must be linked to this network"
            .to_owned()
    } else {
        format!("check the host of INGESTION_URL, and that this network's name server knows {name}")
    }
}

fn is_azure(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    [".monitor.azure.com", ".monitor.azure.us", ".monitor.azure.cn"].iter().any(|suffix| name.ends_with(suffix))
}

/// From where an address is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    Loopback,
    LinkLocal,
    Private,
    Nowhere,
    Public,
}

impl Reach {
    fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        match address {
            _ if address.is_loopback() => Self::Loopback,
            _ if address.is_unspecified() || address.is_multicast() => Self::Nowhere,
            IpAddr::V4(v4) if v4.is_link_local() => Self::LinkLocal,
            // 100.64.0.0/10 is for carriers, and clusters use it.
            IpAddr::V4(v4) if v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64) => {
                Self::Private
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::LinkLocal,
            IpAddr::V6(v6) if v6.is_unique_local() => Self::Private,
            _ => Self::Public,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Nowhere => "no host's",
            Self::Public => "public",
        }
    }
}

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const ADDRESSES_MAX: usize = 8;
const RESOLVER_MEND: &str = "check the name servers of this machine or pod (dnsPolicy, /etc/resolv.conf) and that a network policy lets \
     port 53 through";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn addresses_tell_how_the_endpoint_is_reached() {
        let azure = "ws-4yha.westus-1.metrics.ingest.monitor.azure.com";
        for (name, addresses, status, words) in [
            (azure, vec!["20.60.1.2"], Status::Ok, "public"),
            (azure, vec!["10.1.2.3", "fd00::7"], Status::Ok, "private endpoint"),
            (azure, vec!["10.1.2.3", "20.60.1.2"], Status::Warning, "not all"),
            (azure, vec!["127.0.0.1"], Status::Warning, "not all"),
            ("dce.corp.example", vec!["100.65.0.1"], Status::Ok, "private"),
            ("localhost", vec!["::1"], Status::Ok, "loopback"),
            (azure, vec![], Status::Failed, "no address"),
        ] {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443)).collect();
            let step = judge(name, &addresses);
            assert!(step.status == status && step.finding.contains(words), "{name} {addresses:?}: {step:?}");
        }
    }

    #[test]
    fn a_name_server_that_is_silent_is_told_from_a_name_that_does_not_exist() {
        for (text, finding, mend) in [
            ("failed to lookup address information: Name or service not known", "does not resolve", "private link"),
            ("failed to lookup address information: Name does not resolve", "does not resolve", "private link"),
            ("failed to lookup address information: Temporary failure in name resolution", "no name server", "port 53"),
            ("failed to lookup address information: Try again", "no name server", "port 53"),
        ] {
            let step = no_answer("a.westus-1.metrics.ingest.monitor.azure.com", &io::Error::other(text));
            assert!(step.finding.contains(finding) && step.mend.as_deref().unwrap().contains(mend), "{step:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_fails() {
        let (steps, addresses) = look(Host::Domain("remora.invalid"), 443).await;
        assert_eq!((steps[0].status, addresses), (Status::Failed, None), "{steps:?}");
    }
}
