use proptest::prelude::*;

use super::*;

fn write(records: &[Vec<u8>]) -> Vec<u8> {
    let (mut writer, mut segment) = (FrameWriter::new(0), Vec::new());
    for record in records {
        let before = segment.len();
        writer.frame(record, &mut segment);
        assert!(segment.len() - before <= FrameWriter::framed_bytes_max(record.len()));
        assert_eq!(writer.position(), segment.len() as u64);
    }
    segment
}

fn read(segment: &[u8]) -> (Vec<Vec<u8>>, Option<CorruptLog>, usize) {
    let (mut reader, mut records) = (FrameReader::new(segment), Vec::new());
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(record.to_vec()),
            Ok(None) => return (records, None, reader.good() as usize),
            Err(error) => return (records, Some(corruption(error)), reader.good() as usize),
        }
    }
}

#[track_caller]
fn corruption(error: SegmentError) -> CorruptLog {
    match error {
        SegmentError::Corrupt(error) => error,
        SegmentError::Read(error) => panic!("reading bytes in memory failed: {error}"),
    }
}

/// Bytes that snappy cannot shorten.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 56) as u8
    };
    (0..length).map(|_| step(&mut state)).collect()
}

#[test]
fn the_layout_of_a_short_record() {
    let segment = write(&[vec![2, 1, 3]]);
    assert_eq!(segment[..3], [FULL, 0, 3]);
    assert_eq!(segment[3..7], crc32c::crc32c(&[2, 1, 3]).to_be_bytes());
    assert_eq!(segment[7..], [2, 1, 3]);
    let compressible = write(&[vec![7; 1000]]);
    assert_eq!(compressible[0], FULL | SNAPPY);
    assert!(compressible.len() < 100);
}

#[test]
fn records_at_the_edges_of_pages_come_back() {
    let page = PAGE_BYTES - HEADER_BYTES;
    for first in ((page - 20)..(page + 20)).chain([1]) {
        for second in [0, 1, page, 2 * page + 5] {
            let records = [noise(first, 1), noise(second, 2), noise(3, 3)];
            let (read, error, good) = read(&write(&records));
            assert_eq!((error, good), (None, write(&records).len()), "{first} {second}");
            assert!(read == records, "{first} {second}");
        }
    }
}

#[test]
fn a_cut_segment_yields_whole_records_only() {
    let records = [noise(100, 1), noise(PAGE_BYTES, 2), vec![9; 50], noise(30, 3)];
    let segment = write(&records);
    let ends: Vec<usize> = (0..=records.len()).map(|count| write(&records[..count]).len()).collect();
    for cut in 0..segment.len() {
        let whole = ends.iter().rposition(|end| *end <= cut).unwrap();
        let (read, error, good) = read(&segment[..cut]);
        assert!(read == records[..whole], "cut at {cut}");
        if cut == ends[whole] {
            assert_eq!(error, None);
        } else if let Some(error) = error {
            assert!(good == ends[whole] && error.offset >= good as u64, "cut at {cut}: {error}");
        } else {
            // Only zeros before the page's end are no error: padding.
            assert!(segment[ends[whole]..cut].iter().all(|byte| *byte == 0), "cut at {cut}");
        }
    }
}

#[test]
fn after_damage_the_next_page_is_read() {
    let records: Vec<Vec<u8>> = (0..200).map(|seed| noise(1000, seed)).collect();
    let mut segment = write(&records);
    segment[40_000] ^= 1;
    let mut reader = FrameReader::new(&segment[..]);
    let (mut read, mut errors) = (Vec::new(), Vec::new());
    loop {
        match reader.next_record() {
            Ok(Some(record)) => read.push(record.to_vec()),
            Ok(None) => break,
            Err(error) => {
                errors.push(corruption(error));
                assert!(errors.len() < 100, "every error is followed by progress");
            }
        }
    }
    assert_eq!(errors[0].what, "a fragment's checksum does not match");
    assert!(errors[0].offset <= 40_000 && errors[0].offset > 38_000);
    let lost = records.len() - read.len();
    assert!((1..=34).contains(&lost), "{lost} records lost, more than a page");
    assert_eq!(read.last(), records.last());
}

#[test]
fn lies_about_lengths_are_refused() {
    let mut body = vec![0xff, 0xff, 0xff, 0x3f];
    body.extend([0; 10]);
    let mut segment = vec![FULL | SNAPPY, 0, body.len() as u8];
    segment.extend(crc32c::crc32c(&body).to_be_bytes());
    segment.extend(&body);
    assert_eq!(read(&segment).1.unwrap().what, "a compressed record claims an impossible length");
}

#[test]
fn zstd_is_read() {
    let text = b"records of the log ".repeat(40);
    // As `zstd -3 --no-check` writes it.
    let frame = b"(\xb5/\xfd\x00X\xd5\x00\x00\x98records of the log \x01\x00\xc5Y5\xc3";
    for flags in [ZSTD, ZSTD | SNAPPY] {
        let mut segment = Vec::new();
        FrameWriter::new(0).split(frame, flags, &mut segment);
        let (records, error, _) = read(&segment);
        match flags {
            ZSTD => assert_eq!((records, error), (vec![text.clone()], None)),
            _ => assert_eq!(error.unwrap().what, "a record compressed in two ways"),
        }
    }
    for cut in [0, 3, 10, frame.len() - 1] {
        let mut segment = Vec::new();
        FrameWriter::new(0).split(&frame[..cut], ZSTD, &mut segment);
        let error = read(&segment).1.unwrap();
        assert_eq!(error.what, "a record compressed with zstd does not decompress", "cut to {cut}");
    }
}

/// A source that gives a few bytes at a time, is interrupted, and fails.
struct Trickle<'a>(&'a [u8], usize);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 += 1;
        match self.1 % 3 {
            0 => Err(std::io::ErrorKind::Interrupted.into()),
            _ if self.0.is_empty() => Err(std::io::ErrorKind::TimedOut.into()),
            _ => {
                let count = buffer.len().min(self.0.len()).min(777);
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
    }
}

#[test]
fn a_source_may_give_little_and_fail() {
    let records: Vec<Vec<u8>> = (0..100).map(|seed| noise(1000, seed)).collect();
    let segment = write(&records);
    let mut reader = FrameReader::new(Trickle(&segment, 0));
    let mut whole = 0;
    let error = loop {
        match reader.next_record() {
            Ok(Some(read)) => assert!(read == records[whole]),
            Ok(None) => panic!("the source does not end, it fails"),
            Err(SegmentError::Read(error)) => break error,
            Err(SegmentError::Corrupt(error)) => panic!("{error}"),
        }
        whole += 1;
    };
    // The last page is not full: the source was asked for more.
    assert!(error.kind() == std::io::ErrorKind::TimedOut && whole >= 96, "{whole} records");
}

proptest! {
    #[test]
    fn records_come_back(lengths in prop::collection::vec((0usize..100_000, any::<u64>(), any::<bool>()), 0..12)) {
        let records: Vec<Vec<u8>> = lengths.iter()
            .map(|&(length, seed, smooth)| if smooth { vec![seed as u8; length] } else { noise(length, seed) })
            .collect();
        let (read, error, _) = read(&write(&records));
        prop_assert_eq!(error, None);
        prop_assert!(read == records);
    }

    #[test]
    fn flipped_bits_never_pass(flip in 0usize..5000 * 8) {
        let records: Vec<Vec<u8>> = (0..8).map(|seed| noise(700, seed)).collect();
        let mut segment = write(&records);
        let at = flip / 8 % segment.len();
        segment[at] ^= 1 << (flip % 8);
        for record in read(&segment).0 {
            prop_assert!(records.contains(&record));
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read(&bytes);
    }
}
