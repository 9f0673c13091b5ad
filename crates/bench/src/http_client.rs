//! Small requests whose answers are looked at: one connection each, the answer read whole.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// An answer's status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends a GET. `headers` are whole lines, each with its end.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<Answer> {
    // HTTP/1.0: the body comes as it is and ends with the connection.
    exchange(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n"))
}

/// Asks a Prometheus query API for the value of `query` at `time` (seconds since 1970; now without one). The answer's `data.result`.
pub(crate) fn query(
    address: SocketAddr,
    api: &str,
    headers: &str,
    query: &str,
    time: Option<f64>,
) -> anyhow::Result<Vec<Value>> {
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    let time = time.map_or_else(String::new, |time| format!("&time={time:.3}"));
    let answer = get(address, &format!("{api}/query?query={query}{time}"), headers)?;
    ensure!(answer.status == 200, "the query was answered {}: {}", answer.status, answer.body);
    let mut answer: Value = serde_json::from_str(&answer.body).context("an answer that is not JSON")?;
    match answer["data"]["result"].take() {
        Value::Array(result) => Ok(result),
        _ => anyhow::bail!("an answer without a result: {answer}"),
    }
}

fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer).context("an answer that is not text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer without a status")?;
    Ok(Answer { status, body: body.to_owned() })
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
