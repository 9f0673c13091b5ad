use model::{Labels, TimestampMs};

use super::*;
use crate::block::ChunkMeta;
use crate::block::segment::ChunkRef;

fn labels(index: usize) -> Labels {
    let pairs = [
        ("__name__", format!("metric_{}", index / 100)),
        ("code", ["200", "404", "500"][index % 3].to_owned()),
        ("host", format!("host-{index:05}")),
    ];
    Labels::from_pairs(pairs).unwrap()
}

/// The chunks of the series at `index`: none to three, in order of time and of their places.
fn chunks(index: usize) -> Vec<ChunkMeta> {
    (0..index % 4)
        .map(|number| ChunkMeta {
            min_time: TimestampMs(number as i64 * 100 - 150),
            max_time: TimestampMs(number as i64 * 100 - 60 + index as i64 % 7),
            reference: ChunkRef::new((index / 400) as u32, (index * 1000 + number * 30 + 8) as u32),
        })
        .collect()
}

/// An index of `count` series, in the pieces in which the writer gave it.
fn written(count: usize) -> (Vec<u8>, Vec<(BlockSeriesRef, Labels)>) {
    let mut series: Vec<Labels> = (0..count).map(labels).collect();
    series.sort();
    let texts: std::collections::BTreeSet<String> =
        series.iter().flat_map(|labels| labels.iter().flat_map(|(name, value)| [name.into(), value.into()])).collect();
    let mut writer = IndexWriter::new(texts.iter().map(String::as_str));
    let (mut file, mut references) = (Vec::new(), Vec::new());
    for (position, labels) in series.iter().enumerate() {
        references.push((writer.push(labels, &chunks(position)), labels.clone()));
        if position % 7 == 0 {
            file.extend(writer.take_bytes());
        }
    }
    file.extend(writer.finish());
    (file, references)
}

#[test]
fn what_is_written_is_found() {
    for count in [0, 1, 31, 32, 33, 1000] {
        let (file, references) = written(count);
        let index = Index::open(file).unwrap();
        let mut reader = SeriesReader::default();
        let all: Vec<BlockSeriesRef> = index.all_postings().unwrap().iter().collect();
        assert_eq!(all, references.iter().map(|(reference, _)| *reference).collect::<Vec<_>>(), "{count} series");
        for (position, (reference, labels)) in references.iter().enumerate() {
            let found = index.series(*reference).unwrap();
            assert_eq!((&found.labels, &index.labels(*reference).unwrap()), (labels, labels));
            assert_eq!(found.chunks, chunks(position), "series {position} of {count}");
            let everything = (TimestampMs::MIN, TimestampMs::MAX);
            assert_eq!(reader.read(&index, *reference, everything.0, everything.1).unwrap(), chunks(position));
            assert_eq!(&reader.labels(&index).unwrap(), labels);
            assert_eq!(reader.value(&index, "host").unwrap(), labels.get("host"));
            assert_eq!(reader.value(&index, "nothing").unwrap(), None);
            let (start, end) = (TimestampMs(-60), TimestampMs(45));
            let overlapping = |chunk: &ChunkMeta| chunk.min_time <= end && start <= chunk.max_time;
            let some: Vec<ChunkMeta> = chunks(position).into_iter().filter(overlapping).collect();
            assert_eq!(reader.read(&index, *reference, start, end).unwrap(), some);
            let by_host = index.postings("host", labels.get("host").unwrap()).unwrap().unwrap();
            assert_eq!(by_host.iter().collect::<Vec<_>>(), [*reference]);
        }
        for (name, value) in
            [("host", "host-"), ("host", "z"), ("host", ""), ("nothing", "x"), ("", "x"), ("code", "2")]
        {
            assert!(index.postings(name, value).unwrap().is_none(), "{name}={value}");
        }
        let names: Vec<&str> = index.label_names().collect();
        assert_eq!(names, if count == 0 { &[][..] } else { &["__name__", "code", "host"][..] });
        let hosts: Vec<&str> = index.label_values("host").map(|(value, _)| value).collect();
        assert!(hosts.len() == count && hosts.is_sorted());
        for (value, place) in index.label_values("code") {
            assert_eq!(index.postings_at(place).unwrap(), index.postings("code", value).unwrap().unwrap());
        }
    }
}

#[test]
fn postings_skip_forward() {
    let (file, references) = written(1000);
    let index = Index::open(file).unwrap();
    let postings = index.all_postings().unwrap();
    for target in [0, references[0].0.0, references[500].0.0, references[500].0.0 + 1, references[999].0.0, u32::MAX] {
        let expected: Vec<BlockSeriesRef> = postings.iter().filter(|found| found.0 >= target).collect();
        assert_eq!(postings.from(BlockSeriesRef(target)).iter().collect::<Vec<_>>(), expected, "{target}");
    }
    assert_eq!(postings.get(3), Some(references[3].0));
    assert!(postings.from(BlockSeriesRef(u32::MAX)).is_empty());
}

#[test]
fn damage_is_noticed_and_never_panics() {
    let (file, references) = written(40);
    let intact = read_all(&file, &references).expect("the file is whole");
    for byte in 0..file.len() {
        for bit in [0, 3, 7] {
            let mut flipped = file.clone();
            flipped[byte] ^= 1 << bit;
            // Padding, and the places of what is never read, may change without harm; what is read is the same.
            if let Ok(read) = read_all(&flipped, &references) {
                assert_eq!(read, intact, "byte {byte}, bit {bit}");
            }
        }
    }
    for length in 0..file.len() {
        assert!(Index::open(&file[..length]).is_err(), "cut to {length}");
    }
}

type Everything = Vec<(IndexedSeries, Vec<BlockSeriesRef>)>;

fn read_all(file: &[u8], references: &[(BlockSeriesRef, Labels)]) -> Result<Everything, CorruptBlock> {
    let index = Index::open(file)?;
    let mut everything = Vec::new();
    let all: Vec<BlockSeriesRef> = index.all_postings()?.iter().collect();
    everything.push((index.series(references[0].0)?, all));
    for (reference, labels) in references {
        let host = labels.get("host").expect("each has one");
        let list = index.postings("host", host)?.map(|list| list.iter().collect()).unwrap_or_default();
        everything.push((index.series(*reference)?, list));
    }
    Ok(everything)
}

#[test]
#[should_panic(expected = "series come in order")]
fn series_out_of_order_are_refused() {
    let mut writer = IndexWriter::new(["a", "b", "c"]);
    writer.push(&Labels::from_pairs([("a", "c")]).unwrap(), &[]);
    writer.push(&Labels::from_pairs([("a", "b")]).unwrap(), &[]);
}

#[test]
fn values_near_a_prefix_are_those_with_it_and_few_others() {
    for count in [1, 31, 33, 1000] {
        let (file, _) = written(count);
        let index = Index::open(file).unwrap();
        for prefix in ["host-", "host-0", "host-0003", "host-00031", "host-00999", "a", "z", "host-00500x", ""] {
            let near: Vec<&str> = index.label_values_near("host", prefix).map(|(value, _)| value).collect();
            assert!(near.len() <= index.label_values_near("host", prefix).len());
            let with = |value: &&str| value.starts_with(prefix);
            let all: Vec<&str> = index.label_values("host").map(|(value, _)| value).filter(with).collect();
            assert_eq!(near.iter().copied().filter(with).collect::<Vec<_>>(), all, "{prefix:?} of {count}");
            assert!(near.len() <= all.len() + 64, "{prefix:?} of {count}: {}", near.len());
        }
        assert_eq!(index.label_values_near("nothing", "x").count(), 0);
    }
}
