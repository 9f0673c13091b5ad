//! Proxies, set up alike: nginx and ours.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::process::{Process, free_address, pause};
use crate::sink;

/// A proxy that runs.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

/// Where the programs are.
pub(crate) struct Programs {
    nginx: PathBuf,
    sidecar: PathBuf,
}

/// How ours is started.
pub(crate) struct Sidecar<'a> {
    /// Where it sends to.
    pub(crate) upstream: SocketAddr,
    /// The upstream's certificate, in PEM; without one the upstream speaks no TLS.
    pub(crate) ca: Option<&'a str>,
    /// Variables beside those that every one needs.
    pub(crate) environment: &'a [(&'a str, String)],
}

impl Programs {
    pub(crate) fn find(nginx: Option<&Path>, sidecar: Option<&Path>) -> anyhow::Result<Self> {
        let nginx = nginx.map_or_else(|| PathBuf::from("target/peers/usr/sbin/nginx"), Path::to_owned);
        let beside = std::env::current_exe()?.with_file_name("remora-sidecar");
        let sidecar = sidecar.map_or(beside, Path::to_owned);
        for (path, mend) in [
            (&nginx, "run scripts/peers nginx, or set NGINX"),
            (&sidecar, "build it with cargo build --release -p sidecar, or set REMORA_SIDECAR"),
        ] {
            if !path.exists() {
                bail!("{} does not exist: {mend}", path.display());
            }
        }
        Ok(Self { nginx: fs::canonicalize(nginx)?, sidecar })
    }
}

/// A token of the size that Entra's have.
fn token() -> String {
    "eyJ0eXAiOiJKV1Qi".repeat(90)
}

pub(crate) fn nginx(programs: &Programs, directory: &Path, upstream: SocketAddr, tls: bool) -> anyhow::Result<Peer> {
    let directory = directory.join("nginx");
    fs::create_dir_all(&directory)?;
    let address = free_address()?;
    let scheme = if tls { "https" } else { "http" };
    let token = token();
    let place = directory.display();
    // Connections live as long as ours do; temporary files are not used but must have a place.
    let configuration = format!(
        "daemon off; master_process off; pid {place}/pid; error_log stderr error;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n\
         access_log off; client_body_buffer_size 1m; client_max_body_size 8m; keepalive_requests 100000000;\n\
         client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
         upstream sink {{ server {upstream}; keepalive 16; keepalive_requests 100000000; }}\n\
         server {{ listen {address}; location / {{\n\
         proxy_pass {scheme}://sink; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Authorization \"Bearer {token}\";\n\
         }} }} }}\n"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new(&programs.nginx);
    command.arg("-p").arg(&directory).arg("-c").arg(&file).arg("-e").arg(directory.join("error.log"));
    let mut process = Process::start(command.stdin(Stdio::null()))?;
    process.wait_until_listening(address)?;
    Ok(Peer { name: "nginx", address, process })
}

pub(crate) fn sidecar(programs: &Programs, directory: &Path, with: &Sidecar<'_>) -> anyhow::Result<Peer> {
    let directory = directory.join("sidecar");
    fs::create_dir_all(&directory)?;
    let body = format!("{{\"access_token\":\"{}\",\"expires_in\":\"86399\",\"token_type\":\"Bearer\"}}", token());
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let identity = sink::serve(answer, None)?;
    let address = free_address()?;
    let scheme = if with.ca.is_some() { "https" } else { "http" };
    let log = fs::File::create(directory.join("log"))?;
    let mut command = Command::new(&programs.sidecar);
    command
        .env_clear()
        .env("INGESTION_URL", format!("{scheme}://localhost:{}/dataCollectionRules/dcr-00000000000000000000000000000000/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24", with.upstream.port()))
        .env("IDENTITY_TYPE", "systemAssigned")
        .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{identity}"))
        .env("LISTENING_PORT", address.port().to_string())
        .env("REMORA_LISTEN_ADDRESS", "127.0.0.1")
        .envs(with.environment.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .stderr(log);
    if let Some(ca) = with.ca {
        let file = directory.join("ca.pem");
        fs::write(&file, ca)?;
        command.env("SSL_CERT_FILE", &file);
    }
    let mut process = Process::start(&mut command)?;
    process.wait_until_listening(address)?;
    wait_until_ready(address).with_context(|| fs::read_to_string(directory.join("log")).unwrap_or_default())?;
    Ok(Peer { name: "remora-sidecar", address, process })
}

fn wait_until_ready(address: SocketAddr) -> anyhow::Result<()> {
    use std::io::{Read as _, Write as _};
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200 ") {
            return Ok(());
        }
        pause(Duration::from_millis(20));
    }
    bail!("the sidecar did not become ready")
}
