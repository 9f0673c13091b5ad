//! An answered sample survives `kill -9`: the real service, under load, killed again and again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use model::{Labels, TimestampMs};

use crate::client::Client;
use crate::installation::{INGESTION_SCOPE, Installation, QUERY_RESOURCE};
use crate::process::pause;
use crate::serve::Service;
use crate::writing::{labels, now, request, try_post};

const KILLS: u32 = 50;
const WRITERS: usize = 3;
const SERIES_PER_WRITER: usize = 40;

/// Values of answered samples by series and time.
type Answered = BTreeMap<(String, i64), f64>;

#[test]
fn every_answered_sample_is_there_after_fifty_kills() {
    let up = Installation::start();
    let token = up.token_by_secret("application_id", "client_secret_file", INGESTION_SCOPE);
    let mut service = Service::start(&up, "");
    let answered: Vec<Arc<Mutex<Answered>>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = answered
        .iter()
        .enumerate()
        .map(|(number, answered)| {
            let (client, url, token) = (Arc::clone(&up.client), service.write_url(), token.clone());
            let (answered, stop) = (Arc::clone(answered), Arc::clone(&stop));
            thread::spawn(move || write_until(&stop, &client, &url, &token, number, &answered))
        })
        .collect();
    for kill in 0..KILLS {
        // Not always at the same moment of its life.
        pause(Duration::from_millis(40 + u64::from(kill * 37 % 120)));
        service = service.crash_and_restart(&up.client);
    }
    pause(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());

    let answered: Answered = answered.iter().flat_map(|part| part.lock().unwrap().clone()).collect();
    assert!(answered.len() > 1000 * WRITERS, "too little was written to prove anything: {}", answered.len());
    let stored = stored(&up, &service);
    let missing: Vec<_> = answered.iter().filter(|(key, value)| stored.get(key) != Some(value)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} answered samples are gone: {:?}…",
        missing.len(),
        answered.len(),
        &missing[..1]
    );
}

/// Writes the next sample of each of its series until told to stop; a request without a 2xx is repeated, as senders do.
fn write_until(stop: &AtomicBool, client: &Client, url: &str, token: &str, writer: usize, answered: &Mutex<Answered>) {
    let series: Vec<(String, Labels)> = (0..SERIES_PER_WRITER)
        .map(|index| {
            let name = format!("{writer}-{index}");
            let set =
                labels(&[("__name__", "crash_test"), ("series", &name), ("padding", "some text of usual length")]);
            (name, set)
        })
        .collect();
    let mut value = 0.0;
    let mut last = TimestampMs(0);
    while !stop.load(Ordering::Relaxed) {
        last = TimestampMs(now().0.max(last.0 + 1));
        value += 1.0;
        let samples: Vec<_> = series.iter().map(|(_, set)| (set.clone(), last, value)).collect();
        let body = request(&samples);
        let accepted = loop {
            match try_post(client, url, Some(token), body.clone()) {
                Some(answer) if answer.status == 204 => break true,
                Some(answer) => assert!(answer.status >= 500, "{}: {}", answer.status, answer.text()),
                None if stop.load(Ordering::Relaxed) => break false,
                None => pause(Duration::from_millis(5)),
            }
        };
        if accepted {
            let mut answered = answered.lock().unwrap();
            answered.extend(series.iter().map(|(name, _)| ((name.clone(), last.0), value)));
        }
    }
}

/// Every sample that the service has.
fn stored(up: &Installation, service: &Service) -> Answered {
    let token = up.token_by_secret("application_id", "client_secret_file", &format!("{QUERY_RESOURCE}/.default"));
    let mut stored = Answered::new();
    // Series by series: a test's HTTP client takes answers of up to a megabyte.
    for writer in 0..WRITERS {
        for index in 0..SERIES_PER_WRITER {
            let name = format!("{writer}-{index}");
            let query = format!("crash_test{{series=\"{name}\"}}[1h]");
            let data =
                up.client.query(&service.query_url(), Some(&token), &query, None).expect("the query must succeed");
            for point in data["result"][0]["values"].as_array().into_iter().flatten() {
                let at = (point[0].as_f64().unwrap() * 1000.0).round() as i64;
                stored.insert((name.clone(), at), point[1].as_str().unwrap().parse().unwrap());
            }
        }
    }
    stored
}
