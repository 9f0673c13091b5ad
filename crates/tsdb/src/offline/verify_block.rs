//! One block, checked whole: what is verified on the way by whoever reads it, and what nobody looks at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use environment::Disk;
use hashbrown::HashMap;
use model::{Labels, TimestampMs};
use tsdb_format::block::index::{BlockSeriesRef, Index};
use tsdb_format::block::meta::{self, BlockMeta, BlockStats};
use tsdb_format::block::{ChunkMeta, CorruptBlock, segment, tombstones};
use tsdb_format::chunk::{ChunkEncoding, CorruptChunk, HistogramDecoder, XorDecoder, plain};
use xxhash_rust::xxh3::xxh3_64;

use super::verify::Verified;

/// Checks the block in the directory `path`.
pub(super) fn verify_block(disk: &dyn Disk, path: &Path, verified: &mut Verified) {
    verified.blocks += 1;
    let meta_file = path.join("meta.json");
    let meta = match disk.read(&meta_file).map_err(|error| error.to_string()) {
        Ok(text) => meta::decode(&text).map_err(|error| error.what.to_owned()),
        Err(error) => Err(error),
    };
    let meta = match meta {
        Ok(meta) => meta,
        Err(what) => return verified.find(&meta_file, None, what),
    };
    if path.file_name().and_then(|name| name.to_str()) != Some(&meta.ulid) {
        verified.find(&meta_file, None, format!("the directory is not named like the block, {}", meta.ulid));
    }
    if let Some(resolution) = meta.downsampled_to_ms() {
        let what = format!("downsampled to one value in {} s: not readable here", resolution / 1000);
        return verified.find(&meta_file, None, what);
    }
    let index_file = path.join("index");
    let index = read(disk, &index_file).and_then(|file| {
        Index::open_as(file, meta.index_version()).map_err(|error| (Some(error.offset), error.what.to_owned()))
    });
    let index = match index {
        Ok(index) => index,
        Err((offset, what)) => return verified.find(&index_file, offset, what),
    };
    let mut check = Check {
        disk,
        path,
        index_file,
        meta: &meta,
        verified,
        segments: BTreeMap::new(),
        pairs: HashMap::new(),
        stats: BlockStats::default(),
        times: (TimestampMs::MAX, TimestampMs::MIN),
    };
    if let Err(error) = check.series(&index).and_then(|()| check.postings(&index)) {
        check.found_in_index(&error);
    }
    check.tombstones();
    check.totals();
}

struct Check<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    index_file: PathBuf,
    meta: &'a BlockMeta,
    verified: &'a mut Verified,
    /// Chunk files by number, and those that cannot be read.
    segments: BTreeMap<u32, Option<Bytes>>,
    /// Of each label, by the hash of its name and value: how many series have it, and their references as one number.
    pairs: HashMap<u64, (u32, u64)>,
    stats: BlockStats,
    times: (TimestampMs, TimestampMs),
}

impl Check<'_> {
    fn found_in_index(&mut self, error: &CorruptBlock) {
        self.verified.find(&self.index_file, Some(error.offset), error.what);
    }

    /// Every series, with its chunks.
    fn series(&mut self, index: &Index<Bytes>) -> Result<(), CorruptBlock> {
        let mut last: Option<Labels> = None;
        let mut last_chunk = None;
        for reference in index.all_postings()?.iter() {
            let series = match index.series(reference) {
                Ok(series) => series,
                // The others can be read all the same.
                Err(error) => {
                    self.found_in_index(&error);
                    continue;
                }
            };
            self.stats.num_series += 1;
            let place = Some(u64::from(reference.0) * 16);
            if last.as_ref().is_some_and(|last| *last >= series.labels) {
                self.verified.find(&self.index_file, place, "series are not in order of labels");
            }
            for (name, value) in series.labels.iter() {
                let (count, references) = self.pairs.entry(pair(name, value)).or_default();
                *count += 1;
                *references = references.wrapping_add(mixed(reference));
            }
            for chunk in &series.chunks {
                if last_chunk.is_some_and(|last| last >= chunk.reference) {
                    self.verified.find(&self.index_file, place, "references to chunks do not rise");
                }
                last_chunk = Some(chunk.reference);
                self.chunk(&series.labels, chunk);
            }
            last = Some(series.labels);
        }
        Ok(())
    }

    /// Every list of series with a label has these, and no others.
    fn postings(&mut self, index: &Index<Bytes>) -> Result<(), CorruptBlock> {
        let names: Vec<String> = index.label_names().map(str::to_owned).collect();
        let mut seen = 0;
        for name in names {
            let mut last: Option<String> = None;
            for entry in index.label_values(&name) {
                let (value, offset) = entry;
                if last.as_deref().is_some_and(|last| last >= value) {
                    self.verified.find(&self.index_file, Some(offset), format!("values of {name:?} are not in order"));
                }
                last = Some(value.to_owned());
                seen += 1;
                let list = match index.postings_at(offset) {
                    Ok(list) => list,
                    Err(error) => {
                        self.found_in_index(&error);
                        continue;
                    }
                };
                let references = list.iter().fold(0_u64, |sum, reference| sum.wrapping_add(mixed(reference)));
                let expected = self.pairs.get(&pair(&name, value)).copied().unwrap_or_default();
                if (list.len() as u64, references) != (u64::from(expected.0), expected.1) {
                    let what = format!("the list of series with {name}={value:?} is not that of the series with it");
                    self.verified.find(&self.index_file, Some(offset), what);
                }
            }
        }
        if seen != self.pairs.len() {
            let what = format!("series have {} labels, and {seen} have a list", self.pairs.len());
            self.verified.find(&self.index_file, None, what);
        }
        Ok(())
    }

    fn chunk(&mut self, labels: &Labels, chunk: &ChunkMeta) {
        self.stats.num_chunks += 1;
        self.times = (self.times.0.min(chunk.min_time), self.times.1.max(chunk.max_time));
        let number = chunk.reference.segment();
        let file = self.path.join("chunks").join(format!("{:06}", number + 1));
        let Some(bytes) = self.segment(number, &file) else { return };
        let offset = u64::from(chunk.reference.offset());
        let outcome = match segment::read_chunk(&bytes, chunk.reference.offset()) {
            Err(error) => Err(error.what.to_owned()),
            Ok((encoding, data)) => times_in(encoding, data),
        };
        match outcome {
            Err(what) => self.verified.find(&file, Some(offset), format!("of {labels}: {what}")),
            Ok(Samples { kind, count, first, last }) => {
                if count == 0 || (first, last) != (chunk.min_time, chunk.max_time) {
                    let what = format!("of {labels}: its samples are not at the times that the index says");
                    self.verified.find(&file, Some(offset), what);
                }
                self.stats.num_samples += count;
                match kind {
                    ChunkEncoding::Histogram | ChunkEncoding::FloatHistogram => {
                        self.stats.num_histogram_samples += count;
                    }
                    _ => self.stats.num_float_samples += count,
                }
            }
        }
    }

    fn segment(&mut self, number: u32, file: &Path) -> Option<Bytes> {
        if let Some(known) = self.segments.get(&number) {
            return known.clone();
        }
        let bytes = read(self.disk, file).and_then(|bytes| {
            segment::check_header(&bytes).map_err(|error| (Some(error.offset), error.what.to_owned()))?;
            Ok(bytes)
        });
        let bytes = match bytes {
            Ok(bytes) => Some(bytes),
            Err((offset, what)) => {
                self.verified.find(file, offset, what);
                None
            }
        };
        // Series are in the order of their chunks: files before this one are not needed any more.
        self.segments.clear();
        self.segments.insert(number, bytes.clone());
        bytes
    }

    fn tombstones(&mut self) {
        let file = self.path.join("tombstones");
        match self.disk.read(&file) {
            // Thanos and Mimir leave it out.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.verified.find(&file, None, error.to_string()),
            Ok(bytes) => match tombstones::decode(&bytes) {
                Ok(found) => self.stats.num_tombstones = found.len() as u64,
                Err(error) => self.verified.find(&file, Some(error.offset), error.what),
            },
        }
    }

    fn totals(&mut self) {
        self.verified.series += self.stats.num_series;
        self.verified.chunks += self.stats.num_chunks;
        self.verified.samples += self.stats.num_samples;
        let meta_file = self.path.join("meta.json");
        let (said, found) = (&self.meta.stats, &self.stats);
        for (name, said, found) in [
            ("numSeries", said.num_series, found.num_series),
            ("numChunks", said.num_chunks, found.num_chunks),
            ("numSamples", said.num_samples, found.num_samples),
        ] {
            if said != found {
                self.verified.find(&meta_file, None, format!("{name} is {said}, and there are {found}"));
            }
        }
        let (first, last) = self.times;
        if first <= last && (first.0 < self.meta.min_time || last.0 >= self.meta.max_time) {
            let (start, end) = (self.meta.min_time, self.meta.max_time);
            let what = format!("the range is {start}..{end}, and samples are at {first}..={last}");
            self.verified.find(&meta_file, None, what);
        }
    }
}

/// A whole file, mapped where the disk maps.
fn read(disk: &dyn Disk, file: &Path) -> Result<Bytes, (Option<u64>, String)> {
    let bytes = disk.map(file).and_then(|mapped| mapped.map_or_else(|| disk.read(file).map(Bytes::from), Ok));
    bytes.map_err(|error| (None, error.to_string()))
}

struct Samples {
    kind: ChunkEncoding,
    count: u64,
    first: TimestampMs,
    last: TimestampMs,
}

/// Unpacks all samples of a chunk, whose times must rise.
fn times_in(encoding: u8, data: &[u8]) -> Result<Samples, String> {
    let (kind, repacked) = plain(encoding, data).map_err(|error| error.to_string())?;
    let data = repacked.as_ref().map_or(data, |repacked| &repacked.data);
    let mut times = Vec::new();
    let unpacked: Result<(), CorruptChunk> = match kind {
        ChunkEncoding::Xor => {
            let mut values = Vec::new();
            XorDecoder::new(data).and_then(|mut decoder| decoder.read(&mut times, &mut values, usize::MAX).map(drop))
        }
        kind => HistogramDecoder::new(kind, data).try_for_each(|sample| {
            times.push(sample?.0);
            Ok(())
        }),
    };
    unpacked.map_err(|error| error.to_string())?;
    if !times.is_sorted_by(|left, right| left < right) {
        return Err("the times of its samples do not rise".to_owned());
    }
    let (first, last) = (times.first().copied(), times.last().copied());
    let none = TimestampMs::MIN;
    Ok(Samples { kind, count: times.len() as u64, first: first.unwrap_or(none), last: last.unwrap_or(none) })
}

fn pair(name: &str, value: &str) -> u64 {
    xxh3_64(name.as_bytes()).rotate_left(1) ^ xxh3_64(value.as_bytes())
}

fn mixed(reference: BlockSeriesRef) -> u64 {
    xxh3_64(&reference.0.to_le_bytes())
}
