//! `meta.json`: what a block holds and what it was made of.
//!
//! The format has no checksum for it, and a flipped digit of a time can hide samples, of the block and of the log that it is
//! taken to stand for. So ours has one, under a key that others pass over, over what the format defines and not over keys that others
//! add. Files without it are taken as they are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::CorruptBlock;

/// The whole file. Keys that are not known here (Thanos' and Mimir's) are kept as they are.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// The block's name: 26 characters that sort by the time of making.
    pub ulid: String,
    /// Time of the first sample, or the start of the range (milliseconds).
    pub min_time: i64,
    /// The end of the range (milliseconds), itself not included.
    pub max_time: i64,
    /// Counts.
    #[serde(default)]
    pub stats: BlockStats,
    /// What the block was made of.
    #[serde(default)]
    pub compaction: Compaction,
    /// Layout of the block: 1. A Prometheus before its release 2.0 wrote 2 for a while, and then 1 for the version of the
    /// index, which was 2 already: see [`BlockMeta::index_version`].
    pub version: u32,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl BlockMeta {
    /// The version of the index where the index itself names a wrong one.
    pub fn index_version(&self) -> Option<u8> {
        (self.version == 2).then_some(2)
    }

    /// The width in milliseconds of the stretches that each value stands for, when Thanos has downsampled the block.
    pub fn downsampled_to_ms(&self) -> Option<i64> {
        let resolution = self.other.get("thanos")?.get("downsample")?.get("resolution")?.as_i64()?;
        (resolution != 0).then_some(resolution)
    }
}

/// Counts of a block; a zero is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Float samples.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Native histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted ranges.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

/// What a block was made of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// 1 for a block made of a head, one more than its inputs for a merged one.
    pub level: u32,
    /// The blocks of level 1 whose samples are here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The blocks that were merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<BlockDescription>,
    /// Whether nothing is left of it, so that it can go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deletable: bool,
    /// Whether a merge of it failed for good.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Where its samples came from: `from-out-of-order`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A block that was merged into another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDescription {
    /// Its name.
    pub ulid: String,
    /// As of [`BlockMeta`].
    pub min_time: i64,
    /// As of [`BlockMeta`].
    pub max_time: i64,
}

/// The whole file.
pub fn encode(meta: &BlockMeta) -> Vec<u8> {
    assert!(meta.min_time < meta.max_time, "an empty block must not be written: {meta:?}");
    assert!(meta.version == 1, "blocks are written in version 1: {meta:?}");
    let mut meta = meta.clone();
    meta.other.insert(OWN_KEY.to_owned(), json!({ CHECKSUM: checksum(&meta) }));
    let mut file = serde_json::to_vec_pretty(&meta).expect("plain data with text keys");
    file.push(b'\n');
    file
}

/// Reads a whole file.
///
/// # Errors
/// When it is no JSON of a block, of an unknown version, of an empty range, or not what its checksum says.
pub fn decode(file: &[u8]) -> Result<BlockMeta, CorruptBlock> {
    let corrupt = |what| CorruptBlock { part: "meta.json", offset: 0, what };
    let mut meta: BlockMeta = serde_json::from_slice(file).map_err(|_| corrupt("not the description of a block"))?;
    if !matches!(meta.version, 1 | 2) {
        return Err(corrupt("a block of another version than 1 and 2"));
    }
    if meta.min_time >= meta.max_time {
        return Err(corrupt("the range of time is empty"));
    }
    if let Some(own) = meta.other.remove(OWN_KEY)
        && own.get(CHECKSUM).and_then(Value::as_u64) != Some(checksum(&meta).into())
    {
        return Err(corrupt("the checksum is wrong"));
    }
    Ok(meta)
}

/// Of everything but the keys of others.
fn checksum(meta: &BlockMeta) -> u32 {
    let BlockMeta { ulid, min_time, max_time, stats, compaction, version, other: _ } = meta;
    let covered = serde_json::to_vec(&(ulid, min_time, max_time, stats, compaction, version));
    crc32c::crc32c(&covered.expect("plain data with text keys"))
}

const OWN_KEY: &str = "remora";
const CHECKSUM: &str = "checksum";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_keys_survive() {
        let text = r#"{"ulid":"01JFJBS3YP1SHZ3PJQ6HK76EC3","minTime":1,"maxTime":2,"stats":{"numSamples":3},
            "compaction":{"level":2,"sources":["a"],"parents":[{"ulid":"a","minTime":1,"maxTime":2}],"hints":["x"]},
            "version":1,"thanos":{"labels":{"a":"b"},"downsample":{"resolution":0}}}"#;
        let meta = decode(text.as_bytes()).unwrap();
        assert_eq!((meta.stats.num_samples, meta.compaction.level, meta.compaction.parents.len()), (3, 2, 1));
        assert_eq!(decode(&encode(&meta)).unwrap(), meta);
        assert_eq!(meta.downsampled_to_ms(), None);
        let downsampled = text.replace("\"resolution\":0", "\"resolution\":300000");
        assert_eq!(decode(downsampled.as_bytes()).unwrap().downsampled_to_ms(), Some(300_000));
        let written: Value = serde_json::from_slice(&encode(&meta)).unwrap();
        assert_eq!(written["thanos"]["labels"]["a"], "b");
        assert!(written["stats"].get("numSeries").is_none());
    }

    #[test]
    fn a_changed_byte_is_noticed_and_keys_of_others_may_change() {
        let text = r#"{"ulid":"01JFJBS3YP1SHZ3PJQ6HK76EC3","minTime":7200000,"maxTime":14400000,"stats":{"numSamples":3},
            "compaction":{"level":1,"sources":["01JFJBS3YP1SHZ3PJQ6HK76EC3"]},"version":1}"#;
        let meta = decode(text.as_bytes()).unwrap();
        let file = encode(&meta);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                // White space, letters that JSON may write otherwise, and the name of our key.
                let same = |read: BlockMeta| BlockMeta { other: Map::new(), ..read } == meta;
                assert!(decode(&changed).map_or(true, same), "{}", String::from_utf8_lossy(&changed));
            }
        }
        let mut shipped: Value = serde_json::from_slice(&file).unwrap();
        shipped["thanos"] = json!({"labels": {"a": "b"}});
        let read = decode(shipped.to_string().as_bytes()).unwrap();
        assert_eq!(read.other.keys().collect::<Vec<_>>(), ["thanos"]);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"ulid":"a","minTime":1,"maxTime":2,"version":3}"#,
            r#"{"ulid":"a","minTime":2,"maxTime":2,"version":1}"#,
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
