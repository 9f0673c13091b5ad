use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// What `log` writes.
fn lines_of(log: impl FnOnce()) -> String {
    let written = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_writer({
            let written = written.clone();
            move || Shared(written.clone())
        })
        .event_format(LogrusText { now: || UnixTime::from_secs(1_667_424_779) })
        .finish();
    tracing::subscriber::with_default(subscriber, log);
    String::from_utf8(written.lock().unwrap().clone()).unwrap()
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_line_that_dashboards_read() {
    let line = lines_of(|| {
        tracing::info!(
            successfullyPublished = 122_u64,
            failedPublishing = 0_u64,
            avgRequestDurationInSec = 0.023,
            avgBytesPerRequest = 19713_u64,
            "Metric packets published in last 1 minute"
        );
    });
    assert_eq!(
        line,
        "time=\"2022-11-02T21:32:59Z\" level=info msg=\"Metric packets published in last 1 minute\" \
         avgBytesPerRequest=19713 avgRequestDurationInSec=0.023 failedPublishing=0 successfullyPublished=122\n"
    );
}

#[test]
fn levels_and_values() {
    let io_error = io::Error::other("disk \"full\"");
    let path = std::path::Path::new("/a b");
    let lines = lines_of(|| {
        tracing::warn!("one");
        tracing::error!(error = &io_error as &dyn std::error::Error, path = %path.display(), "cannot write");
        tracing::debug!(zero = 0.0, yes = true, none = "", time = "now", "{}", "formatted text");
        tracing::trace!(url = "http://h/p?q", word = "a-b._/@^+Z9");
    });
    let expected = [
        r#"level=warning msg=one"#,
        r#"level=error msg="cannot write" error="disk \"full\"" path="/a b""#,
        r#"level=debug msg="formatted text" none= fields.time=now yes=true zero=0"#,
        r#"level=trace url="http://h/p?q" word=a-b._/@^+Z9"#,
    ];
    for (line, expected) in lines.lines().zip(expected) {
        assert_eq!(line.strip_prefix("time=\"2022-11-02T21:32:59Z\" ").unwrap(), expected);
    }
    assert_eq!(lines.lines().count(), expected.len());
}

#[test]
fn quoting_as_go_does() {
    for (value, text) in [
        ("a\nlevel=error", r#""a\nlevel=error""#),
        ("tab\tquote\"back\\slash", r#""tab\tquote\"back\\slash""#),
        ("\u{1}\u{7f}\r", r#""\x01\x7f\r""#),
        ("größe", "\"größe\""),
        ("\u{200b}", r#""\u200b""#),
        ("\u{a0}", r#""\u00a0""#),
        ("🚀", "\"🚀\""),
        ("\u{e0001}", r#""\U000e0001""#),
    ] {
        let mut line = String::new();
        push_value(value, &mut line);
        assert_eq!(line, text);
    }
}
