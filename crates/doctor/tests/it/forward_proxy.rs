//! Forward proxies that open tunnels, and those that do not.

use std::net::SocketAddr;

use doctor::{Link, Status};
use host::OutboundProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::authority::{Authority, Validity};
use crate::server::{Server, assert_broken, date, examined, plan, step};

/// A proxy that answers CONNECT with `answer` and, if that is a 200, passes on to `target`.
async fn proxy(answer: &'static str, target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                stream.write_all(answer.as_bytes()).await?;
                if answer.contains(" 200 ") {
                    let mut onward = TcpStream::connect(target).await?;
                    copy_bidirectional(&mut stream, &mut onward).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    address
}

#[tokio::test]
async fn the_whole_chain_through_a_proxy() {
    let authority = Authority::new();
    // Never a name of this machine: those are reached directly whatever the proxy.
    let server =
        Server::start(Some(authority.server("dce.example", Validity::Now)), |_| (204, date(0), String::new())).await;
    for (answer, broken) in [
        ("HTTP/1.1 200 Connection established\r\n\r\n", None),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some("user:password")),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Some("allow CONNECT")),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Some("NO_PROXY")),
        ("SOCKS?\r\n\r\n", Some("not a SOCKS one")),
        ("", Some("not a SOCKS one")),
    ] {
        let at = proxy(answer, server.address).await;
        let mut plan = plan(443, Some(authority.roots()));
        plan.ingestion.url.set_host(Some("dce.example")).unwrap();
        plan.outbound_proxy = OutboundProxy::parse(&format!("http://user:geheim@{at}"), "").unwrap();
        let report = examined(&plan).await;
        assert!(!format!("{report:?}").contains("geheim"));
        match broken {
            None => {
                assert_eq!(report.exit_code(), 0, "{report:?}");
                assert_eq!(step(&report, Link::Proxy).status, Status::Ok);
                assert_eq!(step(&report, Link::Dns).status, Status::Skipped);
            }
            Some(mend) => {
                assert_broken(&report, Link::Proxy, "the forward proxy", mend);
                assert_eq!(step(&report, Link::Tls).status, Status::Skipped);
            }
        }
    }
    assert_eq!(server.writes().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut plan = plan(443, None);
    plan.ingestion.url.set_host(Some("dce.example")).unwrap();
    plan.outbound_proxy = OutboundProxy::parse(&format!("http://{at}"), "").unwrap();
    assert_broken(&examined(&plan).await, Link::Proxy, "cannot be reached", "HTTPS_PROXY");
}

#[tokio::test]
async fn an_endpoint_in_no_proxy_is_reached_directly() {
    let mut plan = plan(1, None);
    plan.outbound_proxy = OutboundProxy::parse("http://127.0.0.1:1", "localhost").unwrap();
    let report = examined(&plan).await;
    assert_broken(&report, Link::Tcp, "refuses", "nothing listens");
    assert!(step(&report, Link::Proxy).finding.contains("NO_PROXY"));
}
