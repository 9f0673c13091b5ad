use std::fmt::Write as _;
use std::sync::Mutex;

use environment::UnixTime;
use remote_write::{Limits, SurveyScratch, survey};
use testkit::{ManualClock, ScriptedHttp, response};

use super::*;

/// More than a thousand open workspaces have to say.
const SERIES: usize = 60_000;

#[test]
fn what_many_workspaces_say_is_written_whole_in_requests_of_bounded_size() {
    let mut text = String::new();
    for series in 0..SERIES {
        writeln!(text, "remora_tsdb_series{{workspace=\"3fae7abb-3644-489d-826b-{series:012}\"}} 1").unwrap();
    }
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&written);
    let http = ScriptedHttp::new(move |request| {
        if request.method() == http::Method::GET {
            return Ok(response(200, text.clone()));
        }
        let mut message = Vec::new();
        framing::decode(request.body(), 64 << 20, &mut message).unwrap();
        sink.lock().unwrap().push(message);
        Ok(response(204, ""))
    });
    let mut targets = [Target::new("remora", "http://127.0.0.1:7090")];
    let clock = ManualClock::new(UnixTime::from_millis(1_700_000_000_000));
    block_on(round(&http, &clock, "http://127.0.0.1:8081/api/v1/write", &mut targets)).unwrap();

    let written = written.lock().unwrap();
    let mut scratch = SurveyScratch::default();
    let mut samples = 0;
    for message in written.iter() {
        assert!(message.len() < MESSAGE_BYTES + (4 << 10), "a message has {} bytes", message.len());
        let survey = survey(Version::V1, message, &Limits::default(), &mut scratch).unwrap();
        samples += survey.tally.samples;
    }
    assert!(written.len() > 1);
    // Each series once, and what a scrape says of itself.
    assert_eq!(samples as usize, SERIES + 3);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
