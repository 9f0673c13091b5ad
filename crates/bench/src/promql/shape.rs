//! What an answer consists of, so that nobody is measured while he answers something else.

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Numbers of series (or names) and of points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) series: usize,
    pub(super) points: usize,
}

impl Shape {
    /// Of a successful answer.
    pub(super) fn of(body: &[u8]) -> anyhow::Result<Self> {
        let answer: Value = serde_json::from_slice(body).context("an answer that is not JSON")?;
        ensure!(answer["status"] == "success", "no success: {}", String::from_utf8_lossy(body));
        let data = &answer["data"];
        let list = data.as_array().or_else(|| data["result"].as_array()).context("an answer without a list")?;
        let points = |series: &Value| series["values"].as_array().map_or(1, Vec::len);
        Ok(Self { series: list.len(), points: list.iter().map(points).sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        for (body, series, points) in [
            (r#"{"status":"success","data":["a","b"]}"#, 2, 2),
            (r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}"#, 1, 1),
            (
                r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[2,"3"]]}]}}"#,
                1,
                2,
            ),
        ] {
            assert_eq!(Shape::of(body.as_bytes()).unwrap(), Shape { series, points }, "{body}");
        }
        for bad in [r#"{"status":"error"}"#, "", r#"{"status":"success","data":{}}"#] {
            Shape::of(bad.as_bytes()).unwrap_err();
        }
    }
}
