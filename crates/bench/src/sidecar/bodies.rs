//! Write requests of a fleet, made once.

use crate::ingest::fleet;
use crate::ingest::request::Template;
use crate::load;

/// Requests that together hold one sample of each of so many series, [`SERIES_PER_REQUEST`] in each.
pub(crate) struct Scrape {
    /// Heads and bodies, ready to be sent.
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) series: usize,
    /// Bytes of all messages.
    pub(crate) decoded_bytes: usize,
}

impl Scrape {
    pub(crate) fn of(series: usize) -> anyhow::Result<Self> {
        let mut scrape = Self { requests: Vec::new(), series, decoded_bytes: 0 };
        let mut fleet = fleet::series().take(series).peekable();
        let mut encoder = snap::raw::Encoder::new();
        while fleet.peek().is_some() {
            let mut template = Template::new(scrape.requests.len() as u64);
            fleet.by_ref().take(SERIES_PER_REQUEST).for_each(|one| template.add(&one));
            template.advance(0, TIMESTAMP_MS);
            scrape.decoded_bytes += template.message().len();
            scrape.requests.push(load::write_request(&encoder.compress_vec(template.message())?));
        }
        Ok(scrape)
    }

    /// Bytes as they are sent.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.requests.iter().map(Vec::len).sum()
    }

    /// What one request is like.
    pub(crate) fn describe(&self) -> String {
        let requests = self.requests.len();
        format!(
            "{} series in {requests} requests, each {} kB decoded and {} kB sent",
            self.series,
            self.decoded_bytes / requests / 1000,
            self.sent_bytes() / requests / 1000
        )
    }
}

pub(crate) const SERIES_PER_REQUEST: usize = 1900;
/// The sink does not look at it.
const TIMESTAMP_MS: u64 = 1_795_000_000_000;
