use testkit::{Fault, MemoryDisk};
use tsdb_format::block::index::Index;
use tsdb_format::block::segment::read_chunk;
use tsdb_format::chunk::XorChunk;

use super::*;

const PARENT: &str = "db";

fn writer(disk: &MemoryDisk, segment_bytes_max: u64) -> Result<BlockWriter, WriteBlockError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    BlockWriter::with_segments(&disk, Path::new(PARENT), Ulid::new(1_700_000_000_000, 7), segment_bytes_max)
}

fn empty_disk() -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_directory(Path::new(PARENT)).unwrap();
    disk
}

fn labels(number: i64) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("number", format!("{number:05}"))]).unwrap()
}

fn chunk(start: i64, samples: i64) -> XorChunk {
    let mut chunk = XorChunk::new(TimestampMs(start), start as f64);
    (1..samples).for_each(|index| chunk.push(TimestampMs(start + index), index as f64));
    chunk
}

/// Series of two chunks each: at 0..100 and 1000..1050.
fn fill(writer: &mut BlockWriter, series: i64) -> Result<(), WriteBlockError> {
    for number in 0..series {
        let chunks = [chunk(number % 7, 100), chunk(1000, 50)];
        let chunks = chunks.each_ref().map(|chunk| BlockChunk {
            start: chunk.start(),
            end: chunk.newest().0,
            encoding: ChunkEncoding::Xor,
            data: chunk.data(),
        });
        writer.push(&labels(number), &chunks)?;
        writer.push(&Labels::empty(), &[])?;
    }
    Ok(())
}

#[test]
fn a_block_is_found_whole_under_its_name_after_a_power_cut() {
    let disk = empty_disk();
    let mut writer = writer(&disk, 30_000).unwrap();
    fill(&mut writer, 500).unwrap();
    assert_eq!(writer.times(), Some((TimestampMs(0), TimestampMs(1049))));
    let meta = writer.finish(Origin::out_of_order(), 0..2000).unwrap().unwrap();
    let disk = disk.after_power_cut(|_| 0);
    let block = Path::new(PARENT).join(&meta.ulid);
    assert_eq!(meta::decode(&disk.read(&block.join("meta.json")).unwrap()).unwrap(), meta);
    assert_eq!(
        meta.stats,
        BlockStats {
            num_samples: 75_000,
            num_float_samples: 75_000,
            num_series: 500,
            num_chunks: 1000,
            ..BlockStats::default()
        }
    );
    assert_eq!((&meta.compaction.sources, meta.compaction.level), (&vec![meta.ulid.clone()], 1));
    assert_eq!(meta.compaction.hints, [FROM_OUT_OF_ORDER]);

    let files: Vec<Vec<u8>> =
        disk.list(&block.join("chunks")).unwrap().iter().map(|(path, _)| disk.read(path).unwrap()).collect();
    assert!(files.len() > 2);
    let index = Index::open(disk.read(&block.join("index")).unwrap()).unwrap();
    let mut number = 0;
    for series in index.all_postings().unwrap().iter() {
        let series = index.series(series).unwrap();
        assert_eq!(series.labels, labels(number));
        for (found, expected) in series.chunks.iter().zip([chunk(number % 7, 100), chunk(1000, 50)]) {
            let (reference, file) = (found.reference, &files[found.reference.segment() as usize]);
            assert_eq!(read_chunk(file, reference.offset()).unwrap(), (1, expected.data()));
            assert_eq!((found.min_time, found.max_time), (expected.start(), expected.newest().0));
        }
        number += 1;
    }
    assert_eq!(number, 500);
    assert_eq!(disk.paths().iter().filter(|path| path.starts_with(&block)).count(), files.len() + 3);
    assert_eq!(disk.paths().len(), files.len() + 3, "nothing else is left: {:?}", disk.paths());
}

#[test]
fn without_samples_there_is_no_block() {
    let disk = empty_disk();
    let mut writer = writer(&disk, SEGMENT_BYTES_MAX).unwrap();
    writer.push(&labels(1), &[]).unwrap();
    assert_eq!(writer.finish(Origin::new_samples(), 0..1).unwrap(), None);
    assert!(disk.list(Path::new(PARENT)).unwrap().is_empty());
}

#[test]
fn whatever_fails_nothing_is_left() {
    let write = |disk: &MemoryDisk| {
        let mut writer = writer(disk, 30_000)?;
        fill(&mut writer, 300)?;
        writer.finish(Origin::new_samples(), 0..2000)
    };
    let mut faults = 0;
    // The directory was the first change.
    for at in 1.. {
        let disk = empty_disk();
        disk.inject(Fault { at, error: io::ErrorKind::StorageFull, torn: 3, lasting: false });
        if write(&disk).is_ok() {
            break;
        }
        faults += 1;
        disk.heal();
        assert!(disk.paths().is_empty(), "fault at {at}: {:?}", disk.paths());
        let meta = write(&disk).unwrap().unwrap();
        assert_eq!(meta.stats.num_series, 300);
    }
    assert!(faults > 12, "{faults}");
}
