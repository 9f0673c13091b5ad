//! Whether anything listens there.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::report::{Link, Step};

/// Connects to the first of `addresses` that lets us.
pub(crate) async fn look(addresses: &[SocketAddr]) -> (Vec<Step>, Option<TcpStream>) {
    let mut failures: Vec<(SocketAddr, Failure)> = Vec::new();
    for address in addresses {
        match connect(*address).await {
            Ok(stream) => {
                let mut finding = format!("connected to {address}");
                for (other, failure) in &failures {
                    let _ = write!(finding, "; {other} {}", failure.words());
                }
                return (vec![Step::ok(Link::Tcp, finding)], Some(stream));
            }
            Err(failure) => failures.push((*address, failure)),
        }
    }
    let Some((address, failure)) = failures.first() else {
        return (vec![Step::skipped(Link::Tcp, "there is no address to connect to")], None);
    };
    let step = Step::failed(Link::Tcp, format!("{address} {}", failure.words()), failure.mend(*address));
    (
        vec![
            failures
                .iter()
                .fold(step, |step, (address, failure)| step.with("tried", format!("{address} {}", failure.words()))),
        ],
        None,
    )
}

/// Connects within the time for one address.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => Err(Failure::Silent),
    }
}

/// Why there is no connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Nothing listens, or a firewall says so.
    Refused,
    /// Packets disappear.
    Silent,
    /// No way leads there.
    NoRoute,
    /// Anything else.
    Other(String),
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
                Self::NoRoute
            }
            _ => Self::Other(error.to_string()),
        }
    }

    pub(crate) fn words(&self) -> String {
        match self {
            Self::Refused => "refuses the connection".to_owned(),
            Self::Silent => format!("does not answer within {} s", CONNECT_TIMEOUT.as_secs()),
            Self::NoRoute => "is not reachable from here (no route)".to_owned(),
            Self::Other(text) => format!("cannot be connected to: {text}"),
        }
    }

    pub(crate) fn mend(&self, address: SocketAddr) -> String {
        let port = address.port();
        match self {
            Self::Refused => format!("nothing listens on port {port} there: check host and port of INGESTION_URL"),
            Self::Silent => format!(
                "something drops the packets: let port {port} out in the firewall, network security group or network \
                 policy, or set HTTPS_PROXY if the way out is a proxy"
            ),
            Self::NoRoute => "check the routes of this machine or pod, and for IPv6 whether it has any".to_owned(),
            Self::Other(_) => "check host and port of INGESTION_URL and this machine's network".to_owned(),
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
