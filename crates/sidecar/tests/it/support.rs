//! The program as a process, and what stands around it: an ingestion endpoint, a metadata service, a sender.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

const PROGRAM: &str = env!("CARGO_BIN_EXE_remora-sidecar");

pub(crate) fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Serves every request on every connection with `answer`, which gets the head and body as text.
pub(crate) fn serve(answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            std::thread::spawn(move || serve_connection(stream.unwrap(), answer));
        }
    });
    address
}

fn serve_connection(stream: TcpStream, answer: impl Fn(&str) -> String) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            request.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        request.push_str(&String::from_utf8_lossy(&body));
        if reader.get_mut().write_all(answer(&request).as_bytes()).is_err() {
            return;
        }
    }
}

/// A metadata service whose token is `geheim`.
pub(crate) fn imds() -> SocketAddr {
    serve(|request| {
        assert!(request.starts_with("GET /metadata/identity/oauth2/token?"), "{request}");
        let body = "{\"access_token\":\"geheim\",\"expires_in\":\"3600\",\"token_type\":\"Bearer\",\"resource\":\"r\"}";
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
}

/// An ingestion endpoint that takes everything and counts it.
pub(crate) fn counting_endpoint() -> (SocketAddr, Arc<Mutex<usize>>) {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let address = serve(move |_| {
        *counted.lock().unwrap() += 1;
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
    });
    (address, count)
}

pub(crate) fn ask(address: SocketAddr, request: &str) -> String {
    ask_bytes(address, request.as_bytes())
}

/// Waits until `is_so`.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        pause(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

#[expect(clippy::disallowed_methods, reason = "a test of a process waits for it in real time")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

pub(crate) fn ask_bytes(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

/// The program as a process that listens.
pub(crate) struct Running {
    child: Child,
    reading: JoinHandle<()>,
    log: Arc<Log>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

impl Running {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_with(variables, &[])
    }

    /// The same with arguments.
    #[track_caller]
    pub(crate) fn start_with(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut child = program(variables).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Log::default());
        let writing = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in stderr.lines() {
                let mut text = writing.text.lock().unwrap();
                text.push_str(&line.unwrap());
                text.push('\n');
                writing.grown.notify_all();
            }
        });
        let mut running = Self { child, reading, log, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let text = running.wait_for_log("msg=Listening");
        let line = text.lines().find(|line| line.contains("msg=Listening")).unwrap();
        running.address = line.split("address=").nth(1).unwrap().trim().trim_matches('"').parse().unwrap();
        running
    }

    pub(crate) fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Waits until the log holds `text`, and gives all of the log.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_logs(text, 1)
    }

    /// The same for `count` lines with that text.
    #[track_caller]
    pub(crate) fn wait_for_logs(&self, text: &str, count: usize) -> String {
        let log = self.log.text.lock().unwrap();
        let missing = |log: &mut String| log.matches(text).count() < count && !self.reading.is_finished();
        let (log, _) = self.log.grown.wait_timeout_while(log, WAIT_MAX, missing).unwrap();
        assert!(log.matches(text).count() >= count, "{count} x {text} in: {log}");
        log.clone()
    }

    /// Sends it a signal such as `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Bounds the size of the files that it writes, as `ulimit -f` does; `None` lifts the bound.
    pub(crate) fn limit_file_size(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// A value of its metrics, as text.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> String {
        let page = get(self.address, "/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        value.unwrap_or_else(|| panic!("{series} is missing in {page}"))
    }

    /// Ends it by a signal; its exit code and all of its log.
    pub(crate) fn stop(self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        self.ended()
    }

    /// Waits for its end; its exit code and all of its log.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.reading.join().unwrap();
        (status.code(), self.log.text.lock().unwrap().clone())
    }
}

const WAIT_MAX: Duration = Duration::from_secs(30);
