//! Which formats a page has, and how clients ask for them.

use super::{Newest, protobuf, text};

/// How a page is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Prometheus' text, perhaps with names of any characters.
    Text { utf8: bool },
    /// OpenMetrics 1.0 text.
    OpenMetrics { utf8: bool },
    /// Families of the client library's messages, each with its length in front.
    Protobuf,
}

impl Format {
    /// The format that the header `Accept` prefers among ours; text when it says nothing of them.
    pub(super) fn negotiate(accepted: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for clause in accepted.split(',').take(CLAUSES_MAX) {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let (mut quality, mut utf8, mut version, mut proto, mut encoding) = (1.0f32, false, "", "", "");
            for part in parts {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                match name.trim() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "escaping" => utf8 = value.trim() == "allow-utf-8",
                    "version" => version = value.trim(),
                    "proto" => proto = value.trim(),
                    "encoding" => encoding = value.trim(),
                    _ => {}
                }
            }
            let format = match media {
                "application/vnd.google.protobuf" if proto == MESSAGE && encoding == "delimited" => Self::Protobuf,
                "application/openmetrics-text" if matches!(version, "" | "0.0.1" | "1.0.0") => {
                    Self::OpenMetrics { utf8 }
                }
                "text/plain" if matches!(version, "" | "0.0.4" | "1.0.0") => Self::Text { utf8 },
                "*/*" | "text/*" => Self::Text { utf8: false },
                _ => continue,
            };
            // Of equals the first counts.
            if quality > 0.0 && best.is_none_or(|(known, _)| quality > known) {
                best = Some((quality, format));
            }
        }
        best.map_or(Self::Text { utf8: false }, |(_, format)| format)
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text { utf8: false } => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::Text { utf8: true } => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::OpenMetrics { utf8: false } => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            Self::OpenMetrics { utf8: true } => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8"
            }
        }
    }

    /// Whether there are words for this sample.
    pub(super) fn can_say(self, newest: &Newest) -> bool {
        self == Self::Protobuf || !newest.is_exponential()
    }

    pub(super) fn write_family(self, out: &mut Vec<u8>, family: &[Newest]) {
        match self {
            Self::Text { utf8 } => text::write_family(out, family, text::Dialect { open_metrics: false, utf8 }),
            Self::OpenMetrics { utf8 } => text::write_family(out, family, text::Dialect { open_metrics: true, utf8 }),
            Self::Protobuf => protobuf::write_family(out, family),
        }
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        if let Self::OpenMetrics { .. } = self {
            out.extend_from_slice(b"# EOF\n");
        }
    }
}

const MESSAGE: &str = "io.prometheus.client.MetricFamily";

/// Formats that a client may list.
const CLAUSES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format() {
        let prometheus = concat!(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,",
            "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2"
        );
        let with_protobuf = concat!(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,",
            "text/plain;version=0.0.4;q=0.3"
        );
        for (accepted, expected) in [
            ("", Format::Text { utf8: false }),
            ("*/*", Format::Text { utf8: false }),
            ("text/html,application/json", Format::Text { utf8: false }),
            (prometheus, Format::OpenMetrics { utf8: true }),
            (with_protobuf, Format::Protobuf),
            ("application/vnd.google.protobuf;proto=other;encoding=delimited", Format::Text { utf8: false }),
            (
                "application/openmetrics-text;version=2.0.0, text/plain; escaping=allow-utf-8",
                Format::Text { utf8: true },
            ),
            ("application/openmetrics-text; q=0", Format::Text { utf8: false }),
        ] {
            assert_eq!(Format::negotiate(accepted), expected, "{accepted}");
        }
    }
}
