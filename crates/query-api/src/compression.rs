//! Compressed answers: gzip and deflate, as Prometheus' API offers them, for clients that ask.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How an answer's body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    /// In zlib's framing.
    Deflate,
}

impl Encoding {
    /// The first encoding that the client lists and we have. As in Prometheus a quality behind a name makes it another name.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
        let known = |name: &str| match name.trim() {
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        };
        accepted.split(',').find_map(known).unwrap_or(Self::Identity)
    }

    /// For the header `Content-Encoding`.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
        }
    }

    /// Writes a body in this encoding. A short one stays as it is: then the encoding returned says so.
    pub(crate) fn encode(self, body: Vec<u8>) -> (Self, Vec<u8>) {
        if body.len() < SHORT_BYTES {
            return (Self::Identity, body);
        }
        // Answers compress to a tenth or less.
        let out = Vec::with_capacity(body.len() / 8);
        let encoded = match self {
            Self::Identity => return (self, body),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, LEVEL);
                encoder.write_all(&body).and_then(|()| encoder.finish())
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, LEVEL);
                encoder.write_all(&body).and_then(|()| encoder.finish())
            }
        };
        (self, encoded.expect("writing into memory cannot fail"))
    }
}

/// A body that is written piece by piece.
pub(crate) enum Encoder {
    /// As it is.
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    pub(crate) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), LEVEL)),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), LEVEL)),
        }
    }

    /// The encoded form of all these pieces, each made when it is asked for.
    pub(crate) fn all(self, pieces: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
        // The last piece of all is what the encoder has kept to itself.
        let mut encoder = Some(self);
        let encoded = pieces.map(Some).chain([None]).filter_map(move |piece| match piece {
            Some(piece) => encoder.as_mut().map(|encoder| encoder.push(piece)),
            None => encoder.take().map(Self::finish),
        });
        // A compressor keeps small pieces for later; an empty one would end the body.
        encoded.filter(|piece| !piece.is_empty())
    }

    /// What is to be sent once this piece is written; the encoder may keep some for later.
    fn push(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let written = match self {
            Self::Identity => return piece,
            Self::Gzip(encoder) => encoder.write_all(&piece).map(|()| std::mem::take(encoder.get_mut())),
            Self::Deflate(encoder) => encoder.write_all(&piece).map(|()| std::mem::take(encoder.get_mut())),
        };
        written.expect("writing into memory cannot fail")
    }

    /// What is to be sent after the last piece.
    fn finish(self) -> Vec<u8> {
        let rest = match self {
            Self::Identity => Ok(Vec::new()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        };
        rest.expect("writing into memory cannot fail")
    }
}

/// Shorter bodies fit one packet either way.
const SHORT_BYTES: usize = 1024;

/// The quickest that still compresses well: repeated labels and times are most of an answer.
const LEVEL: Compression = Compression::new(2);

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::{GzDecoder, ZlibDecoder};
    use http::HeaderValue;

    use super::*;

    #[test]
    fn negotiated_as_prometheus_does() {
        for (accepted, expected) in [
            (None, Encoding::Identity),
            (Some("gzip"), Encoding::Gzip),
            (Some("br, deflate, gzip"), Encoding::Deflate),
            (Some(" gzip , deflate"), Encoding::Gzip),
            (Some("zstd"), Encoding::Identity),
            (Some("gzip;q=0"), Encoding::Identity),
        ] {
            let headers = accepted.map(|text| (ACCEPT_ENCODING, HeaderValue::from_static(text))).into_iter().collect();
            assert_eq!(Encoding::negotiate(&headers), expected, "{accepted:?}");
        }
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let body: Vec<u8> = b"[1732360000,\"1\"],".iter().copied().cycle().take(100_000).collect();
        let mut back = Vec::new();
        let (encoding, gzip) = Encoding::Gzip.encode(body.clone());
        assert!(encoding == Encoding::Gzip && gzip.len() < 5000);
        GzDecoder::new(&gzip[..]).read_to_end(&mut back).unwrap();
        assert!(back == body);
        back.clear();
        ZlibDecoder::new(&Encoding::Deflate.encode(body.clone()).1[..]).read_to_end(&mut back).unwrap();
        assert!(back == body);
        assert_eq!(Encoding::Gzip.encode(b"short".to_vec()), (Encoding::Identity, b"short".to_vec()));
    }
}
