//! `remora-sidecar` as a process that is started, killed and started again on the same port and directory.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::passing_time::{eventually, now, pause};
use super::points::{Decoder, Point};
use super::ports::free_port;
use super::sink::Sink;
use super::tokens::{SECRET, Tokens};
use super::wire;

/// A sidecar with a queue directory of its own.
pub(crate) struct Sidecar {
    variables: BTreeMap<String, String>,
    /// What the program is started by; nothing: it is started itself.
    starter: Vec<String>,
    directory: TempDir,
    port: u16,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
    /// Most memory that any of its lives has used, as far as it was looked at.
    resident_bytes_max: u64,
}

impl Sidecar {
    /// A sidecar with a queue on disk between senders and `sink`. It does not run yet.
    pub(crate) fn new(tokens: &Tokens, sink: &Sink) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut variables: BTreeMap<String, String> =
            tokens.variables().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let queue = directory.path().join("queue");
        for (name, value) in [
            ("INGESTION_URL", sink.url()),
            ("LISTENING_PORT", port.to_string()),
            ("REMORA_LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("REMORA_QUEUE_DIR", queue.display().to_string()),
        ] {
            variables.insert(name.to_owned(), value);
        }
        Self {
            variables,
            starter: Vec::new(),
            directory,
            port,
            child: None,
            log: Arc::default(),
            resident_bytes_max: 0,
        }
    }

    /// Sets a variable, for the next start.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a variable away, for the next start.
    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.remove(name);
        self
    }

    /// Starts the program by another, which must become it (`exec`), for the next start.
    pub(crate) fn start_by(&mut self, starter: &[&str]) -> &mut Self {
        self.starter = starter.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&mut self) -> &mut Self {
        self.spawn();
        eventually("the sidecar to listen", START_MAX, || {
            self.assert_running();
            wire::get(self.port, "/health").filter(|answer| answer.status() == 200)
        });
        self
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut words = self.starter.iter().map(String::as_str).chain([PROGRAM]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env_clear().envs(&self.variables).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("cannot start it");
        collect(child.stderr.take().unwrap(), Arc::clone(&self.log));
        self.child = Some(child);
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.look_at_memory();
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.look_at_memory();
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.wait(Duration::from_secs(40))
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let started = now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if started.elapsed() > at_most {
                self.child = Some(child);
                panic!("the sidecar does not end");
            }
            pause(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it runs"))
    }

    /// Fails the test if the program has ended by itself.
    #[track_caller]
    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.as_mut().expect("it was started").try_wait().unwrap();
        assert!(ended.is_none(), "the sidecar ended with {ended:?}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The queue's directory.
    pub(crate) fn queue(&self) -> PathBuf {
        self.directory.path().join("queue")
    }

    /// The same as the running process sees it, in whatever mount namespace it is; the plain path while it does not run.
    pub(crate) fn visible_queue(&self) -> PathBuf {
        let queue = self.queue();
        let Some(child) = &self.child else { return queue };
        Path::new(&format!("/proc/{}/root", child.id())).join(queue.strip_prefix("/").unwrap())
    }

    /// A directory for whatever else a test needs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// All it has logged in all its lives, so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its metrics; `None` while it does not answer.
    pub(crate) fn try_metrics(&self) -> Option<Metrics> {
        Metrics::of_answer(&wire::get(self.port, "/metrics")?)
    }

    /// Its metrics.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        self.try_metrics().expect("the sidecar answers with its metrics")
    }

    /// `remora-sidecar` with other arguments and the same variables, run to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(arguments).env_clear().envs(&self.variables).output().unwrap()
    }

    /// What `remora-sidecar ledger summary --json` prints.
    #[track_caller]
    pub(crate) fn ledger_summary(&self) -> Value {
        let output = self.ledger(&["summary", "--json"]);
        serde_json::from_slice(&output).unwrap()
    }

    /// What `remora-sidecar ledger` prints about this queue, also while the sidecar runs.
    #[track_caller]
    pub(crate) fn ledger(&self, arguments: &[&str]) -> Vec<u8> {
        let queue = self.visible_queue();
        let output = self.run(&[&["ledger"], arguments, &["--queue-dir", queue.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Every point that stands in the ring of refused series.
    #[track_caller]
    pub(crate) fn refused(&self) -> Vec<Point> {
        let refusals = spool::read_refusals(&host::HostDisk, &self.visible_queue()).unwrap();
        let mut decoder = Decoder::default();
        let decode = |refusal: &spool::Refusal| decoder.points(remote_write::Version::V1, &refusal.body).unwrap();
        refusals.iter().flat_map(decode).collect()
    }

    /// Most memory that any of its lives has used.
    pub(crate) fn resident_bytes_max(&mut self) -> u64 {
        self.look_at_memory();
        self.resident_bytes_max
    }

    fn look_at_memory(&mut self) {
        let Some(child) = &self.child else { return };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        self.resident_bytes_max = self.resident_bytes_max.max(peak.unwrap_or(0_u64) * 1024);
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_gone = child.kill();
            let _already_gone = child.wait();
        }
        let log = self.log();
        if thread::panicking() {
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- end of the sidecar's log");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        } else {
            assert!(!log.contains(SECRET), "a token stands in the log:\n{log}");
            assert!(!log.contains("panicked"), "it panicked:\n{log}");
        }
    }
}

fn collect(stderr: ChildStderr, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// One reading of `/metrics`: values by series, written as the page writes them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// `None` where the answer is no page of metrics.
    pub(crate) fn of_answer(answer: &wire::Message) -> Option<Self> {
        (answer.status() == 200).then(|| Self::parse(&answer.text()))
    }

    fn parse(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "the page is whole: {text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            samples
                .map(|line| {
                    let (series, value) = line.rsplit_once(' ').unwrap();
                    (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("a value: {line}")))
                })
                .collect(),
        )
    }

    /// A value; its name without the prefix of all.
    pub(crate) fn find(&self, series: &str) -> Option<f64> {
        self.0.get(&format!("remora_sidecar_{series}")).copied()
    }

    /// A value that must be there.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.find(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// The sum over all series of a family that have the label, written as on the page.
    pub(crate) fn sum(&self, family: &str, label: &str) -> f64 {
        let start = format!("remora_sidecar_{family}{{");
        let of_family = self.0.iter().filter(|(series, _)| series.starts_with(&start) && series.contains(label));
        of_family.map(|(_, value)| value).sum()
    }
}

/// How long a start may take on a busy machine.
const START_MAX: Duration = Duration::from_secs(20);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_remora-sidecar");
