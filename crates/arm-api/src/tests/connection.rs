//! Requests over a connection, where bodies come in pieces.

use std::sync::Arc;
use std::time::Duration;

use http_serving::{Handler, Peer, PlainHttp, Request, Response, Server, bind};
use testkit::SeededRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ArmApi;
use crate::testing::{Bench, GROUP, MANAGEMENT, OWNER, STRANGER};

struct Served(Arc<ArmApi>);

impl Handler for Served {
    async fn handle(&self, request: Request, peer: Peer) -> Response {
        self.0.handle(request, peer).await
    }
}

/// Sends text over one connection and answers the statuses that come back until the server is silent for a moment.
async fn statuses(bench: &Bench, sent: Vec<u8>) -> Vec<u16> {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let server =
        Server::new("test", Served(Arc::clone(&bench.api)), &SeededRng::new(1)).with_plain(PlainHttp::LoopbackOnly);
    tokio::spawn(server.serve(listener, std::future::pending()));
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    tokio::spawn(async move {
        // The server may close before it has read all of it.
        let _ = write.write_all(&sent).await;
        std::future::pending::<()>().await;
    });
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(bytes @ 1..)) = tokio::time::timeout(Duration::from_secs(1), read.read(&mut buffer)).await {
        text.extend_from_slice(&buffer[..bytes]);
    }
    let text = String::from_utf8(text).unwrap();
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

fn put(bench: &Bench, principal: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let token = bench.token(principal, MANAGEMENT);
    let head = format!(
        "PUT {GROUP}?api-version=2024-11-01 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn bodies_over_a_connection() {
    let bench = Bench::new().await;
    let body = br#"{"location":"local"}"#;
    let length = format!("content-length: {}\r\n", body.len());
    let good = put(&bench, OWNER, &length, body);
    let chunk = format!("{:x}\r\n", body.len());
    let chunked = [chunk.as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    let chunked = put(&bench, OWNER, "transfer-encoding: chunked\r\n", &chunked);
    assert_eq!(statuses(&bench, [good.clone(), chunked].concat()).await, [200, 200]);

    let megabytes = vec![b' '; 2 << 20];
    let announced = put(&bench, OWNER, &format!("content-length: {}\r\n", megabytes.len()), &megabytes);
    // What is too large is read and forgotten too: a sender that is cut off while it writes never reads the answer.
    assert_eq!(statuses(&bench, [announced, good.clone()].concat()).await, [413, 200]);
    let more = vec![b' '; 6 << 20];
    let announced = put(&bench, OWNER, &format!("content-length: {}\r\n", more.len()), &more);
    assert_eq!(statuses(&bench, [announced, good.clone()].concat()).await, [413, 200]);
    let pieces = [format!("{:x}\r\n", megabytes.len()).as_bytes(), &megabytes, b"\r\n0\r\n\r\n"].concat();
    let pieces = put(&bench, OWNER, "transfer-encoding: chunked\r\n", &pieces);
    assert_eq!(statuses(&bench, [pieces, good.clone()].concat()).await, [413, 200]);

    // Who is refused has his body read and forgotten, so that the connection goes on.
    let refused = put(&bench, STRANGER, &format!("content-length: {}\r\n", megabytes.len()), &megabytes);
    assert_eq!(statuses(&bench, [refused, good].concat()).await, [403, 200]);
}
