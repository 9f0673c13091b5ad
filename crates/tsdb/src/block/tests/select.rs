//! Matchers over an index, against matchers over labels.

use std::ops::Range;

use tsdb_format::block::index::IndexWriter;
use tsdb_format::block::segment::SegmentWriter;
use tsdb_format::block::{ChunkMeta, tombstones};

use super::*;

/// A block in memory of series with one chunk each, at the times of their place: 0, 1, 2, …
pub(super) struct Written {
    meta: Bytes,
    index: Bytes,
    chunks: Bytes,
}

impl Written {
    pub(super) fn of(series: &BTreeSet<Labels>) -> Self {
        let texts: BTreeSet<&str> =
            series.iter().flat_map(|labels| labels.iter().flat_map(|(name, value)| [name, value])).collect();
        let mut index = IndexWriter::new(texts);
        let mut chunks = SegmentWriter::new(segment::SEGMENT_BYTES_MAX);
        for (place, labels) in series.iter().enumerate() {
            let at = TimestampMs(place as i64);
            let reference = chunks.push(1, tsdb_format::chunk::XorChunk::new(at, place as f64).data());
            index.push(labels, &[ChunkMeta { min_time: at, max_time: at, reference }]);
        }
        let meta = format!(
            r#"{{"ulid":"01JFJBS3YP1SHZ3PJQ6HK76EC3","minTime":0,"maxTime":{},"version":1}}"#,
            series.len().max(1)
        );
        Self { meta: meta.into(), index: index.finish().into(), chunks: chunks.take_bytes().into() }
    }

    pub(super) fn open(self) -> Arc<Block> {
        Block::open(Arc::new(self), &Arc::default()).unwrap()
    }

    fn part(&self, part: BlockPart) -> io::Result<&Bytes> {
        match part {
            BlockPart::Meta => Ok(&self.meta),
            BlockPart::Index => Ok(&self.index),
            BlockPart::Chunks(0) => Ok(&self.chunks),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl BlockSource for Written {
    fn name(&self) -> &str {
        "written"
    }

    fn len(&self, part: BlockPart) -> io::Result<u64> {
        self.part(part).map(|bytes| bytes.len() as u64)
    }

    fn segments(&self) -> io::Result<u32> {
        Ok(1)
    }

    fn read(&self, part: BlockPart, range: Range<u64>) -> io::Result<Bytes> {
        self.part(part).map(|bytes| bytes.slice(range.start as usize..range.end as usize))
    }
}

/// Series with few and many values of a label, some without it.
fn series() -> BTreeSet<Labels> {
    let mut series = BTreeSet::new();
    for pod in 0..300 {
        for code in ["", "200", "404", "500"] {
            let name = if pod % 3 == 0 { "requests" } else { "latency" };
            let pod = if pod % 10 == 7 { String::new() } else { format!("{}-{pod:03}", ["web", "db", "job"][pod % 3]) };
            let zone = if pod.ends_with('1') { "" } else { "north" };
            series.insert(
                Labels::from_pairs([("__name__", name), ("code", code), ("pod", &pod), ("zone", zone)]).unwrap(),
            );
        }
    }
    series
}

fn matchers() -> Vec<Matcher> {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let mut all = Vec::new();
    for (name, values) in [
        ("__name__", &["requests", "latency", "requests|latency", "req.*", "nothing"][..]),
        ("code", &["200", "", "200|404", "200|", "5..", ".*", ".+", "|500", "20.*|404"]),
        (
            "pod",
            &[
                "web-003",
                "",
                "web-.*",
                "web-00[0-5]",
                "db-001|web-003|gone",
                ".*-00.*",
                "web-1.+",
                ".+",
                "x.*",
                "(web|db)-.*",
            ],
        ),
        ("zone", &["north", "", "n.*", "south"]),
        ("absent", &["", "x", ".*", ".+"]),
    ] {
        for value in values {
            all.extend([Equal, NotEqual, Regex, NotRegex].map(|op| matcher(op, name, value)));
        }
    }
    all
}

#[test]
fn selections_are_those_of_the_labels() {
    let series = series();
    let block = Written::of(&series).open();
    let matchers = matchers();
    let mut found_some = 0;
    let mut check = |matchers: &[Matcher]| {
        let meets = |labels: &&Labels| matchers.iter().all(|matcher| matcher.matches_labels(labels));
        let expected: Vec<&Labels> = series.iter().filter(meets).collect();
        let found: Vec<Labels> = read_labels(&block, matchers, TimeRange::ALL);
        assert!(found.iter().eq(expected.iter().copied()), "{matchers:?}: {} of {}", found.len(), expected.len());
        found_some += usize::from(!found.is_empty());

        let names: BTreeSet<&str> = expected.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        assert!(block.label_names(matchers, TimeRange::ALL).unwrap().iter().eq(names.iter()), "{matchers:?}");
        for name in ["pod", "code", "absent"] {
            let values: BTreeSet<&str> = expected.iter().filter_map(|labels| labels.get(name)).collect();
            let found = block.label_values(name, matchers, TimeRange::ALL).unwrap();
            assert!(found.iter().eq(values.iter()), "{name} of {matchers:?}");
        }
    };
    check(&[]);
    for first in &matchers {
        check(std::slice::from_ref(first));
    }
    // Pairs and triples, not all of them: every seventh is enough to meet every kind beside every other.
    for (place, first) in matchers.iter().enumerate() {
        for second in matchers.iter().skip(place % 7).step_by(7) {
            check(&[first.clone(), second.clone()]);
            check(&[first.clone(), second.clone(), matchers[place * 31 % matchers.len()].clone()]);
        }
    }
    assert!(found_some > 500, "{found_some}");
}

#[test]
fn only_series_with_chunks_in_the_range_are_shown() {
    let series = series();
    let block = Written::of(&series).open();
    let range = TimeRange { start: TimestampMs(10), end: TimestampMs(12) };
    assert!(read_labels(&block, &[], range).iter().eq(series.iter().skip(10).take(3)));
    let found = read_range(&block, &[], range);
    let values: Vec<_> = found.into_values().collect();
    assert_eq!(values, [10, 11, 12].map(|at| vec![(at, at.to_string())]));
}

#[test]
fn deleted_ranges_go_with_the_chunks_and_whole_chunks_are_gone() {
    let series: BTreeSet<Labels> = series().into_iter().take(10).collect();
    let block = Written::of(&series).open();
    let loaded = block.load().unwrap();
    let references: Vec<_> = loaded.index.all_postings().unwrap().iter().collect();
    let range = |index: usize, start, end| tombstones::Tombstone {
        series: references[index],
        min_time: TimestampMs(start),
        max_time: TimestampMs(end),
    };
    block.set_deletions(Deletions::new(&[range(3, 0, 5), range(4, 0, 3), range(5, 0, 4), range(5, 6, 9)]));
    let found = read_labels(&block, &[], TimeRange::ALL);
    assert!(found.iter().eq(series.iter().enumerate().filter(|(place, _)| *place != 3).map(|(_, labels)| labels)));
}

/// Label sets of a selection.
fn read_labels(block: &Block, matchers: &[Matcher], range: TimeRange) -> Vec<Labels> {
    let mut series = block.select(matchers, range, Want::Labels).unwrap();
    let mut found = Vec::new();
    while let Some(PartSeries { labels, chunks }) = series.next().unwrap() {
        assert!(chunks.is_empty());
        found.push(labels);
    }
    found
}
