use std::path::Path;

use model::{Labels, NativeHistogram};
use proptest::prelude::*;
use testkit::{Fault, MemoryDisk};
use tsdb_format::chunk::{ChunkEncoding, XorChunk};
use tsdb_format::wal::record::WalRef;

use super::*;
use crate::head::{Head, HeadSample};
use crate::log::Mend;
use crate::part::ChunkData;

const DIRECTORY: &str = "db";

fn open(disk: &MemoryDisk, from: i64) -> (HeadChunks, LoadedChunks) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    HeadChunks::open(&disk, Path::new(DIRECTORY), TimestampMs(from), Mend::Yes).unwrap()
}

/// Chunk `number` of a series: its own two times.
fn data(series: u64, number: i64) -> Vec<u8> {
    let mut chunk = XorChunk::new(TimestampMs(number * 100), series as f64);
    chunk.push(TimestampMs(number * 100 + 50), number as f64);
    chunk.data().to_vec()
}

fn append(chunks: &HeadChunks, written: &[(u64, i64)]) -> Vec<ChunkData> {
    let all: Vec<Vec<u8>> = written.iter().map(|(series, number)| data(*series, *number)).collect();
    let framed: Vec<_> =
        written.iter().zip(&all).map(|((series, number), data)| frame(*series, *number, data)).collect();
    let (places, appended) = chunks.append(&framed);
    appended.unwrap();
    places
}

fn frame(series: u64, number: i64, data: &[u8]) -> HeadChunk<'_> {
    let (start, end) = (TimestampMs(number * 100), TimestampMs(number * 100 + 50));
    HeadChunk { series: WalRef(series), start, end, encoding: 1, out_of_order: false, data }
}

#[track_caller]
fn check(place: &ChunkData, series: u64, number: i64) {
    let (encoding, found) = place.load().unwrap();
    assert_eq!((encoding, &*found), (ChunkEncoding::Xor, &data(series, number)[..]));
}

/// Times of the chunks that a series is given at a start.
fn loaded(chunks: &LoadedChunks, series: u64) -> Vec<i64> {
    let head = Head::new(0, i64::MAX);
    let slot = head.add_series(&Labels::from_pairs([("a", "b")]).unwrap());
    let count = chunks.attach(&head, slot, WalRef(series));
    let chunks = head.read(slot, |found| found.chunks(storage::TimeRange::ALL));
    assert_eq!(count, chunks.len() as u64);
    for chunk in &chunks {
        check(&chunk.data, series, chunk.start.0 / 100);
    }
    chunks.iter().map(|chunk| chunk.start.0 / 100).collect()
}

#[test]
fn chunks_are_read_while_the_file_grows_after_it_and_at_the_next_start() {
    let disk = MemoryDisk::new();
    let (mut chunks, _) = open(&disk, i64::MIN);
    chunks.file_bytes_max = 400;
    let written: Vec<(u64, i64)> = (0..20).flat_map(|number| [(7, number), (9, number)]).collect();
    let places: Vec<_> = written.chunks(3).flat_map(|some| append(&chunks, some)).collect();
    let files = chunks.files.read().len();
    assert!(files > 4, "{files} files");
    for (place, (series, number)) in places.iter().zip(&written) {
        check(place, *series, *number);
    }
    drop(chunks);
    let (chunks, found) = open(&disk.after_process_crash(), i64::MIN);
    assert_eq!((loaded(&found, 7), loaded(&found, 9)), ((0..20).collect(), (0..20).collect::<Vec<_>>()));
    assert_eq!((loaded(&found, 8), found.last_ref()), (vec![], Some(WalRef(9))));
    // What blocks have is not needed.
    let (_, found) = open(&disk.after_process_crash(), 451);
    assert_eq!(loaded(&found, 7), (5..20).collect::<Vec<_>>());

    // New chunks go to a file of their own.
    append(&chunks, &[(7, 20)]);
    assert_eq!(chunks.files.read().len(), files + 1);
}

#[test]
fn files_go_from_the_front_and_are_read_by_who_has_a_chunk() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    let mut places = Vec::new();
    for number in [5, 1, 3, 9] {
        places.extend(append(&chunks, &[(1, number)]));
        chunks.cut();
    }
    let numbers = |chunks: &HeadChunks| chunks.files.read().keys().copied().collect::<Vec<_>>();
    chunks.remove_before(TimestampMs(400)).unwrap();
    assert_eq!(numbers(&chunks), [1, 2, 3, 4], "the first one has a newer chunk");
    chunks.remove_before(TimestampMs(551)).unwrap();
    assert_eq!((numbers(&chunks), disk.paths().len()), (vec![4], 1));
    chunks.remove_before(TimestampMs(950)).unwrap();
    assert_eq!(numbers(&chunks), [4]);
    for (place, number) in places.iter().zip([5, 1, 3, 9]) {
        check(place, 1, number);
    }
    append(&chunks, &[(1, 10)]);
    chunks.remove_before(TimestampMs::MAX).unwrap();
    assert_eq!(numbers(&chunks), [5], "what is being written stays");
}

#[test]
fn after_a_deletion_nothing_is_here_until_what_it_touched_is_gone() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    let places = append(&chunks, &[(1, 1), (1, 2)]);
    chunks.give_up(TimestampMs(250)).unwrap();
    assert!(disk.paths().is_empty() && !chunks.is_written());
    check(&places[1], 1, 2);
    chunks.remove_before(TimestampMs(250)).unwrap();
    assert!(!chunks.is_written());
    chunks.remove_before(TimestampMs(251)).unwrap();
    assert!(chunks.is_written());
}

#[test]
fn any_cut_leaves_a_prefix_of_what_was_written() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    append(&chunks, &(0..6).map(|number| (1, number)).collect::<Vec<_>>());
    let path = Path::new(DIRECTORY).join("chunks_head/000001");
    let bytes = disk.read(&path).unwrap();
    let mut most = 0;
    for length in 0..=bytes.len() {
        for zeros in [0, 1000] {
            let cut = disk.after_process_crash();
            cut.put(&path, [&bytes[..length], &vec![0; zeros][..]].concat());
            let (_, found) = open(&cut, i64::MIN);
            let series = loaded(&found, 1);
            assert!(series.iter().copied().eq(0..series.len() as i64), "{series:?}");
            if zeros == 0 {
                assert!(found.damage.is_none() && series.len() >= most, "cut to {length}");
                most = series.len();
            }
            // Whatever was found, the next start finds it, too, and nothing wrong.
            let (_, again) = open(&cut.after_process_crash(), i64::MIN);
            assert!(again.damage.is_none());
            assert_eq!(loaded(&again, 1), series);
        }
    }
    assert_eq!(most, 6);
}

#[test]
fn a_power_cut_leaves_no_gap_between_files() {
    for restarts in [false, true] {
        let mut disk = MemoryDisk::new();
        let (mut chunks, _) = open(&disk, i64::MIN);
        append(&chunks, &(0..6).map(|number| (1, number)).collect::<Vec<_>>());
        if restarts {
            drop(chunks);
            disk = disk.after_process_crash();
            (chunks, _) = open(&disk, i64::MIN);
        } else {
            chunks.cut();
        }
        append(&chunks, &[(1, 6)]);
        // The newer file got to the medium, of the older one what had to.
        let mut files = 0;
        let cut = disk.after_power_cut(|unsynced| {
            files += 1;
            if files == 1 { 0 } else { unsynced }
        });
        assert_eq!(loaded(&open(&cut, i64::MIN).1, 1), (0..7).collect::<Vec<_>>(), "{restarts}");
    }
}

#[test]
fn a_damaged_file_and_those_behind_it_are_left_out() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    for number in 0..3 {
        append(&chunks, &[(1, number), (2, number)]);
        chunks.cut();
    }
    let path = |number| Path::new(DIRECTORY).join(format!("chunks_head/{number:06}"));
    let bytes = disk.read(&path(2)).unwrap();
    for at in 0..bytes.len() {
        let damaged = disk.after_process_crash();
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x41;
        damaged.put(path(2), bytes.clone());
        let (_, found) = open(&damaged, i64::MIN);
        // The three zeros of the header say nothing.
        if (5..8).contains(&at) {
            assert!(found.damage.is_none());
            continue;
        }
        let damage = found.damage.as_ref().unwrap_or_else(|| panic!("byte {at}"));
        assert_eq!((&damage.file, damaged.read(&damage.set_aside).unwrap()), (&path(2), bytes));
        assert_eq!((loaded(&found, 1), loaded(&found, 2)), (vec![0], vec![0]), "byte {at}");
        assert!(damaged.read(&path(3)).is_err() && damaged.read(&path(1)).is_ok());
    }
}

#[test]
fn a_disk_that_fails_once_has_damaged_nothing() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    let place = append(&chunks, &[(7, 0)]).remove(0);
    disk.inject_read(Fault { at: disk.reads(), error: io::ErrorKind::Other, torn: 0, lasting: false });
    let error = place.load().map(drop).unwrap_err();
    // A damaged chunk would be left out of blocks.
    assert!(matches!(error, storage::QueryError::Unavailable(_)), "{error}");
    check(&place, 7, 0);
}

#[test]
fn what_prometheus_leaves_is_used_as_far_as_it_fits() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    let bytes: Vec<Vec<u8>> = (0..7).map(|number| data(1, number)).collect();
    let mut framed: Vec<_> = (0..7).map(|number| frame(1, number as i64, &bytes[number])).collect();
    framed[1].out_of_order = true;
    framed[5].encoding = 9;
    chunks.append(&framed).1.unwrap();
    append(&chunks, &[(2, 1), (2, 2), (2, 2), (2, 3)]);
    let (_, found) = open(&disk, i64::MIN);
    assert_eq!(loaded(&found, 1), [0, 2, 3, 4], "without what came out of order, up to what is unknown");
    assert_eq!(loaded(&found, 2), [1, 2], "up to what does not follow");
}

#[test]
fn a_full_disk_keeps_chunks_in_memory() {
    let disk = MemoryDisk::new();
    let (chunks, _) = open(&disk, i64::MIN);
    let first = append(&chunks, &[(1, 1)]);
    let bytes = data(1, 2);
    disk.inject(Fault { at: disk.changes(), error: io::ErrorKind::StorageFull, torn: 10, lasting: false });
    let (places, error) = chunks.append(&[frame(1, 2, &bytes)]);
    assert_eq!((places.len(), error.unwrap_err().kind()), (0, io::ErrorKind::StorageFull));
    let second = append(&chunks, &[(1, 2)]);
    check(&first[0], 1, 1);
    check(&second[0], 1, 2);
    let (_, found) = open(&disk.after_process_crash(), i64::MIN);
    assert!(found.damage.is_none(), "{:?}", found.damage);
    assert_eq!(loaded(&found, 1), [1, 2]);
}

proptest! {
    /// Samples before, in and behind chunks, floats and histograms: what a head is after its full chunks moved is what it was.
    #[test]
    fn moving_changes_nothing(samples in prop::collection::vec((0u32..3, 1i64..40, any::<bool>()), 1..400), every in 1usize..50) {
        let disk = MemoryDisk::new();
        let (chunks, _) = open(&disk, i64::MIN);
        let heads = [Head::new(0, 500), Head::new(0, 500)];
        for head in &heads {
            for slot in 0..3 {
                head.add_series(&Labels::from_pairs([("slot", &slot.to_string())]).unwrap());
            }
        }
        let mut at = 0;
        for (index, (slot, step, is_histogram)) in samples.into_iter().enumerate() {
            at += step;
            let sample = HeadSample { slot, is_histogram, at: TimestampMs(at), value: 0 };
            for head in &heads {
                head.append(&[sample], &[Arc::new(NativeHistogram::stale())]);
            }
            if index % every == 0 {
                move_all(&heads[0], &chunks);
            }
        }
        for slot in 0..3 {
            let [moved, kept] = [0, 1].map(|head| heads[head].read(slot, |series| {
                (series.newest_time(), series.chunks(storage::TimeRange::ALL))
            }));
            prop_assert_eq!(moved.0, kept.0);
            prop_assert_eq!(moved.1.len(), kept.1.len());
            for (moved, kept) in moved.1.iter().zip(&kept.1) {
                prop_assert_eq!((moved.start, moved.end), (kept.start, kept.end));
                let (moved, kept) = (moved.data.load().unwrap(), kept.data.load().unwrap());
                prop_assert_eq!((moved.0, &*moved.1), (kept.0, &*kept.1));
            }
        }
    }
}

fn move_all(head: &Head, chunks: &HeadChunks) {
    let mut full = Vec::new();
    head.full_chunks_of(0, |slot, chunk| full.push((slot, chunk.clone())));
    for (slot, chunk) in full {
        let (encoding, data) = chunk.data.load().unwrap();
        let (start, end, encoding) = (chunk.start, chunk.end, encoding as u8);
        let series = WalRef(u64::from(slot));
        let (places, appended) =
            chunks.append(&[HeadChunk { series, start, end, encoding, out_of_order: false, data: &data }]);
        appended.unwrap();
        assert_eq!(head.replace_full_chunk(slot, &chunk, places[0].clone()), data.len());
    }
    let mut left = 0;
    head.full_chunks_of(0, |_, _| left += 1);
    assert_eq!(left, 0);
}
