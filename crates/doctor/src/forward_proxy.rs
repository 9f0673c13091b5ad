//! Whether the forward proxy opens a tunnel to the endpoint.

use std::io;
use std::time::Duration;

use host::OutboundProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::report::{Link, Step};
use crate::text::excerpt;

/// Asks `proxy` for a tunnel to `target` (`host:port`).
pub(crate) async fn look(proxy: &OutboundProxy, target: &str) -> (Vec<Step>, Option<TcpStream>) {
    let at = proxy.authority();
    let mut stream = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(at)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let finding = format!("the forward proxy {at} cannot be reached: {error}");
            return (vec![Step::failed(Link::Proxy, finding, REACH_MEND)], None);
        }
        Err(_) => {
            let finding = format!("the forward proxy {at} does not answer within {} s", CONNECT_TIMEOUT.as_secs());
            return (vec![Step::failed(Link::Proxy, finding, REACH_MEND)], None);
        }
    };
    let answer = tokio::time::timeout(TUNNEL_TIMEOUT, ask(&mut stream, &proxy.connect_request(target))).await;
    let status_line = match answer {
        Ok(Ok(status_line)) => status_line,
        Ok(Err(error)) => {
            let finding = format!("the forward proxy {at} closes the connection when asked for {target}: {error}");
            return (vec![Step::failed(Link::Proxy, finding, SPEECH_MEND)], None);
        }
        Err(_) => {
            let finding =
                format!("the forward proxy {at} opens no tunnel to {target} within {} s", TUNNEL_TIMEOUT.as_secs());
            return (
                vec![Step::failed(Link::Proxy, finding, "check that the proxy itself reaches the internet")],
                None,
            );
        }
    };
    let step = judge(at, target, &status_line);
    let opened = step.status == crate::report::Status::Ok;
    (vec![step], opened.then_some(stream))
}

/// The status line of the answer to `request`.
async fn ask(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        // Byte by byte: what follows belongs to the tunnel.
        head.push(stream.read_u8().await?);
    }
    Ok(excerpt(head.split(|byte| *byte == b'\n').next().unwrap_or_default(), "", 120))
}

fn judge(at: &str, target: &str, status_line: &str) -> Step {
    let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let refused = |mend: &str| {
        Step::failed(Link::Proxy, format!("the forward proxy {at} opens no tunnel to {target}: {status_line}"), mend)
    };
    match status {
        Some(200..=299) => Step::ok(Link::Proxy, format!("the forward proxy {at} opens a tunnel to {target}")),
        Some(407) => {
            refused("the proxy wants a user: give name and password in HTTPS_PROXY (http://user:password@host:port)")
        }
        Some(403 | 405) => refused(
            "let the proxy's rules allow CONNECT to this host and port; an endpoint with a private address belongs into NO_PROXY",
        ),
        Some(502..=504) => refused(
            "the proxy cannot reach or resolve the host itself: an endpoint with a private address belongs into NO_PROXY",
        ),
        Some(_) => refused("ask who runs the proxy what this answer means"),
        None => refused(SPEECH_MEND),
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(8);
const HEAD_BYTES_MAX: usize = 8 << 10;
const REACH_MEND: &str =
    "check host and port of HTTPS_PROXY, and that a network policy lets this machine or pod reach it";
const SPEECH_MEND: &str =
    "check that HTTPS_PROXY names an HTTP proxy (http://host:port), not a SOCKS one or one that wants TLS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn refusals_are_told_apart() {
        for (line, status, mend) in [
            ("HTTP/1.1 200 Connection established", Status::Ok, ""),
            ("HTTP/1.0 200 OK", Status::Ok, ""),
            ("HTTP/1.1 407 Proxy Authentication Required", Status::Failed, "user:password"),
            ("HTTP/1.1 403 Forbidden", Status::Failed, "NO_PROXY"),
            ("HTTP/1.1 502 Bad Gateway", Status::Failed, "cannot reach"),
            ("HTTP/1.1 500 Oops", Status::Failed, "who runs the proxy"),
            ("SSH-2.0-OpenSSH_9.6", Status::Failed, "HTTP proxy"),
            ("", Status::Failed, "HTTP proxy"),
        ] {
            let step = judge("proxy:3128", "dce:443", line);
            assert!(step.status == status && step.mend.unwrap_or_default().contains(mend), "{line}");
        }
    }
}
