//! The recording sink: a data collection endpoint that remembers every sample that arrived, and misbehaves as told.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use remote_write::{Version, WrittenCounts};

use super::points::{Decoder, Kind, Point};
use super::ports::free_port;
use super::tokens::Tokens;
use super::wire::{Connection, Message, answer};

/// A write request as a rule sees it.
pub(crate) struct Incoming<'a> {
    /// Counts from 1 over the life of the sink.
    pub(crate) number: u64,
    pub(crate) version: Version,
    pub(crate) points: &'a [Point],
    pub(crate) body_bytes: usize,
}

/// What the sink does about a request.
pub(crate) struct Reply {
    store: Store,
    /// Stored behind what the request brings.
    more: Vec<Point>,
    wait: Duration,
    act: Act,
}

enum Store {
    All,
    Nothing,
    Except(u64),
}

enum Act {
    Answer { status: u16, headers: String, body: String },
    Hang,
    CloseMidAnswer,
    Close,
}

impl Reply {
    /// Stores everything and says so.
    pub(crate) fn take() -> Self {
        let act = Act::Answer { status: 204, headers: String::new(), body: String::new() };
        Self { store: Store::All, more: Vec::new(), wait: Duration::ZERO, act }
    }

    /// Stores nothing and answers this.
    pub(crate) fn refuse(status: u16, body: &str) -> Self {
        let act = Act::Answer { status, headers: String::new(), body: body.to_owned() };
        Self { store: Store::Nothing, more: Vec::new(), wait: Duration::ZERO, act }
    }

    /// Stores everything, then behaves as if it had not.
    pub(crate) fn and_store_all(mut self) -> Self {
        self.store = Store::All;
        self
    }

    /// Stores everything but one series.
    pub(crate) fn and_store_all_but(mut self, series: u64) -> Self {
        self.store = Store::Except(series);
        self
    }

    /// Stores these, too, behind the others.
    pub(crate) fn and_store_also(mut self, more: Vec<Point>) -> Self {
        self.more = more;
        self
    }

    /// Adds a header to an answer.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Act::Answer { headers, .. } = &mut self.act {
            headers.push_str(&format!("{name}: {value}\r\n"));
        }
        self
    }

    /// Takes its time first.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Reads the request and says nothing for ever.
    pub(crate) fn hang() -> Self {
        Self { store: Store::Nothing, more: Vec::new(), wait: Duration::ZERO, act: Act::Hang }
    }

    /// Closes the connection in the middle of the head of an answer of success.
    pub(crate) fn close_mid_answer() -> Self {
        Self { store: Store::All, more: Vec::new(), wait: Duration::ZERO, act: Act::CloseMidAnswer }
    }

    /// Closes the connection without a word.
    pub(crate) fn close() -> Self {
        Self { store: Store::Nothing, more: Vec::new(), wait: Duration::ZERO, act: Act::Close }
    }
}

type Rule = Arc<dyn Fn(&Incoming<'_>) -> Reply + Send + Sync>;

/// All that has arrived.
#[derive(Default)]
pub(crate) struct Record {
    /// How often each point was stored.
    pub(crate) points: HashMap<Point, u32>,
    /// Points that were stored first after a later one of their series, in words.
    pub(crate) disorder: Vec<String>,
    /// Requests read.
    pub(crate) requests: u64,
    /// Of these, requests whose token was not valid; they were answered 401.
    pub(crate) unauthorized: u64,
    /// Requests that could not be understood, in words.
    pub(crate) broken: Vec<String>,
    /// Requests at the same time, at most.
    pub(crate) in_flight_max: u64,
    /// Points stored by requests that were not answered with success, repeats included.
    pub(crate) stored_unconfirmed: u64,
    /// Bytes of the largest body.
    pub(crate) body_bytes_max: usize,
    /// Requests of version 2.0.
    pub(crate) version_2: u64,
    decoder: Decoder,
    latest: HashMap<(u64, Kind), i64>,
    in_flight: u64,
}

impl Record {
    /// Points stored, repeats included.
    pub(crate) fn arrivals(&self) -> u64 {
        self.points.values().map(|count| u64::from(*count)).sum()
    }

    /// Points stored again.
    pub(crate) fn repeats(&self) -> u64 {
        self.arrivals() - self.points.len() as u64
    }

    /// The labels of a series, for people.
    pub(crate) fn name(&self, series: u64) -> &str {
        self.decoder.name(series)
    }

    fn store(&mut self, points: &[Point], store: &Store) -> WrittenCounts {
        let mut written = WrittenCounts::default();
        for point in points {
            match store {
                Store::Nothing => continue,
                Store::Except(series) if *series == point.series => continue,
                Store::Except(_) | Store::All => {}
            }
            match point.kind {
                Kind::Float => written.samples += 1,
                Kind::Histogram => written.histograms += 1,
                Kind::Exemplar => written.exemplars += 1,
            }
            let count = self.points.entry(*point).or_default();
            *count += 1;
            if *count > 1 {
                continue;
            }
            let latest = self.latest.entry((point.series, point.kind)).or_insert(i64::MIN);
            if point.at < *latest {
                let name = self.decoder.name(point.series);
                self.disorder.push(format!("{name}: {} after {latest}", point.at));
            }
            *latest = point.at.max(*latest);
        }
        written
    }
}

struct Shared {
    record: Mutex<Record>,
    door: Mutex<Door>,
    /// Told when the door changes: whoever hangs looks up.
    changed: Condvar,
    tokens: Tokens,
}

struct Door {
    rule: Rule,
    /// Counts openings and closings; a connection belongs to one.
    era: u64,
    open: bool,
    /// Connections are taken and nothing is read from them.
    deaf: bool,
    connections: HashMap<u64, TcpStream>,
    /// Counts connections.
    accepted: u64,
}

/// A running sink. One port for its whole life, whether it is open or not.
pub(crate) struct Sink {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Sink {
    /// Opens a sink that takes everything that comes with a valid token.
    pub(crate) fn open(tokens: &Tokens) -> Self {
        let door = Door {
            rule: Arc::new(|_| Reply::take()),
            era: 0,
            open: false,
            deaf: false,
            connections: HashMap::new(),
            accepted: 0,
        };
        let shared = Shared {
            record: Mutex::default(),
            door: Mutex::new(door),
            changed: Condvar::new(),
            tokens: tokens.clone(),
        };
        let sink = Self { shared: Arc::new(shared), port: free_port(), acceptor: Mutex::default() };
        sink.up();
        sink
    }

    /// Where a sidecar writes.
    pub(crate) fn url(&self) -> String {
        format!(
            "http://127.0.0.1:{}/dataCollectionRules/dcr-1/streams/s/api/v1/write?api-version=2023-04-24",
            self.port
        )
    }

    /// Behaves like this from now on, for requests that come with a valid token.
    pub(crate) fn behave(&self, rule: impl Fn(&Incoming<'_>) -> Reply + Send + Sync + 'static) {
        self.shared.door.lock().unwrap().rule = Arc::new(rule);
    }

    /// Takes everything again.
    pub(crate) fn behave_well(&self) {
        self.behave(|_| Reply::take());
    }

    /// Closes the port and every connection.
    pub(crate) fn down(&self) {
        {
            let mut door = self.shared.door.lock().unwrap();
            assert!(std::mem::take(&mut door.open), "the sink is down already");
            self.cut(&mut door);
        }
        // Wakes the acceptor, which then sees that it is over.
        let _refused = TcpStream::connect(("127.0.0.1", self.port));
        self.acceptor.lock().unwrap().take().unwrap().join().unwrap();
    }

    /// Opens the port again.
    pub(crate) fn up(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        self.shared.door.lock().unwrap().open = true;
        let shared = Arc::clone(&self.shared);
        *self.acceptor.lock().unwrap() = Some(thread::spawn(move || shared.accept(&listener)));
    }

    /// Takes connections and reads nothing from them (`true`), or is itself again. Either way every connection that
    /// stands is cut.
    pub(crate) fn set_deaf(&self, deaf: bool) {
        let mut door = self.shared.door.lock().unwrap();
        door.deaf = deaf;
        self.cut(&mut door);
    }

    /// Cuts every connection that stands.
    fn cut(&self, door: &mut Door) {
        door.era += 1;
        for (_, connection) in door.connections.drain() {
            let _already_closed = connection.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }

    /// What has arrived.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record.lock().unwrap()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.acceptor.lock().unwrap().is_some() && !thread::panicking() {
            self.down();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let (stream, _): (_, SocketAddr) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(_) => continue,
            };
            let mut door = self.door.lock().unwrap();
            if !door.open {
                return;
            }
            door.accepted += 1;
            let number = door.accepted;
            door.connections.insert(number, stream.try_clone().unwrap());
            if door.deaf {
                continue;
            }
            let era = door.era;
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.serve(Connection::new(stream), era);
                shared.door.lock().unwrap().connections.remove(&number);
            });
        }
    }

    /// Ends with the connection, whoever ends it.
    fn serve(&self, mut connection: Connection, era: u64) {
        while let Ok(Some(request)) = connection.read() {
            self.enter();
            let served = self.serve_request(&mut connection, &request, era);
            self.record.lock().unwrap().in_flight -= 1;
            if !matches!(served, Ok(true)) {
                break;
            }
        }
        let _already_closed = connection.stream().shutdown(Shutdown::Both);
    }

    fn enter(&self) {
        let mut record = self.record.lock().unwrap();
        record.in_flight += 1;
        record.in_flight_max = record.in_flight_max.max(record.in_flight);
    }

    /// Whether the connection serves on.
    fn serve_request(&self, connection: &mut Connection, request: &Message, era: u64) -> io::Result<bool> {
        let (reply, version, points) = match self.decide(request) {
            Ok(decided) => decided,
            Err(refusal) => return connection.write(&refusal).map(|()| true),
        };
        if !reply.wait.is_zero() {
            self.hang(era, Some(reply.wait));
        }
        let success = matches!(reply.act, Act::Answer { status: 200..300, .. });
        let written = {
            let mut record = self.record.lock().unwrap();
            let written = record.store(&points, &reply.store);
            record.store(&reply.more, &Store::All);
            if !success {
                record.stored_unconfirmed += written.samples + written.histograms + written.exemplars;
            }
            written
        };
        match reply.act {
            Act::Answer { status, mut headers, body } => {
                if version == Version::V2 {
                    written
                        .headers()
                        .iter()
                        .for_each(|(name, value)| headers.push_str(&format!("{name}: {value}\r\n")));
                }
                connection.write(&answer(status, &headers, body.as_bytes())).map(|()| true)
            }
            Act::Hang => {
                self.hang(era, None);
                Ok(false)
            }
            Act::CloseMidAnswer => connection.write(b"HTTP/1.1 204 No Con").map(|()| false),
            Act::Close => Ok(false),
        }
    }

    /// What to do about a request, or the answer where the rule is not asked.
    fn decide(&self, request: &Message) -> Result<(Reply, Version, Vec<Point>), Vec<u8>> {
        let version = match request.header("content-type") {
            Some("application/x-protobuf;proto=io.prometheus.write.v2.Request") => Version::V2,
            _ => Version::V1,
        };
        let rule = Arc::clone(&self.door.lock().unwrap().rule);
        let mut record = self.record.lock().unwrap();
        record.requests += 1;
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| self.tokens.is_valid(token)) {
            record.unauthorized += 1;
            return Err(answer(401, "", b"the token is not valid"));
        }
        let points = match record.decoder.points(version, &request.body) {
            Ok(points) if request.start.starts_with("POST /dataCollectionRules/") => points,
            outcome => {
                let what = format!("{}: {:?}", request.start, outcome.err());
                record.broken.push(what.clone());
                return Err(answer(400, "", what.as_bytes()));
            }
        };
        record.version_2 += u64::from(version == Version::V2);
        record.body_bytes_max = record.body_bytes_max.max(request.body.len());
        let number = record.requests;
        // The rule may take its time, and look at the record.
        drop(record);
        let reply = rule(&Incoming { number, version, points: &points, body_bytes: request.body.len() });
        Ok((reply, version, points))
    }

    /// Waits until the connection's era is over, or at most so long.
    fn hang(&self, era: u64, at_most: Option<Duration>) {
        let door = self.door.lock().unwrap();
        match at_most {
            Some(at_most) => drop(self.changed.wait_timeout_while(door, at_most, |door| door.era == era).unwrap()),
            None => drop(self.changed.wait_while(door, |door| door.era == era).unwrap()),
        }
    }
}
