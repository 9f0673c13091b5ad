//! From the JSON of the query API.

use serde_json::Value as Json;

use super::{Answer, Bucket, Histogram, Point, PointValue, Series, Value};

/// JSON that is no answer of the query API.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} is not what the query API answers: {found}")]
pub struct AnswerError {
    what: &'static str,
    found: String,
}

impl AnswerError {
    fn new(what: &'static str, found: &Json) -> Self {
        let mut found = found.to_string();
        found.truncate(found.floor_char_boundary(FOUND_BYTES_MAX));
        Self { what, found }
    }
}

impl Answer {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// What is not as the API has it.
    pub fn from_json(body: &Json) -> Result<Self, AnswerError> {
        let text = |key: &str| body[key].as_str().unwrap_or("").to_owned();
        if body["status"] == "error" {
            return Ok(Self::Error { kind: text("errorType"), text: text("error") });
        }
        let data = &body["data"];
        let result = &data["result"];
        let value = match data["resultType"].as_str() {
            Some("scalar") => Value::Scalar(float_point(result)?),
            Some("string") => {
                let text = result[1].as_str().ok_or_else(|| AnswerError::new("a string", result))?;
                Value::Text(time(&result[0])?, text.to_owned())
            }
            Some("vector") => Value::Vector(all(result, vector_series)?),
            Some("matrix") => Value::Matrix(all(result, matrix_series)?),
            _ => return Err(AnswerError::new("the kind of a result", body)),
        };
        Ok(Self::Value { value, warnings: texts(&body["warnings"]), infos: texts(&body["infos"]) })
    }
}

fn texts(list: &Json) -> Vec<String> {
    let mut texts: Vec<String> =
        list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
    texts.sort();
    texts
}

fn all<T>(list: &Json, read: fn(&Json) -> Result<T, AnswerError>) -> Result<Vec<T>, AnswerError> {
    list.as_array().ok_or_else(|| AnswerError::new("a list", list))?.iter().map(read).collect()
}

fn series(json: &Json, points: Vec<Point>) -> Result<Series, AnswerError> {
    let labels = json["metric"].as_object().ok_or_else(|| AnswerError::new("a label set", json))?;
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned())).collect();
    Ok(Series { labels, points })
}

fn vector_series(json: &Json) -> Result<Series, AnswerError> {
    let point = match json.get("histogram") {
        Some(histogram) => histogram_point(histogram)?,
        None => float_point(&json["value"])?,
    };
    series(json, vec![point])
}

fn matrix_series(json: &Json) -> Result<Series, AnswerError> {
    let mut points = Vec::new();
    if let Some(values) = json.get("values") {
        points.extend(all(values, float_point)?);
    }
    if let Some(histograms) = json.get("histograms") {
        points.extend(all(histograms, histogram_point)?);
        points.sort_by_key(|point| point.at);
    }
    series(json, points)
}

fn float_point(json: &Json) -> Result<Point, AnswerError> {
    Ok(Point { at: time(&json[0])?, value: PointValue::Float(number(&json[1])?) })
}

fn histogram_point(json: &Json) -> Result<Point, AnswerError> {
    let histogram = &json[1];
    let buckets = match histogram.get("buckets") {
        Some(buckets) => all(buckets, bucket)?,
        None => Vec::new(),
    };
    let value = Histogram { count: number(&histogram["count"])?, sum: number(&histogram["sum"])?, buckets };
    Ok(Point { at: time(&json[0])?, value: PointValue::Histogram(value) })
}

fn bucket(json: &Json) -> Result<Bucket, AnswerError> {
    let bounds = json[0].as_u64().and_then(|bounds| u8::try_from(bounds).ok());
    Ok(Bucket {
        bounds: bounds.ok_or_else(|| AnswerError::new("a bucket", json))?,
        lower: number(&json[1])?,
        upper: number(&json[2])?,
        count: number(&json[3])?,
    })
}

fn time(json: &Json) -> Result<i64, AnswerError> {
    let seconds = json.as_f64().ok_or_else(|| AnswerError::new("a time", json))?;
    Ok((seconds * 1000.0).round() as i64)
}

fn number(json: &Json) -> Result<f64, AnswerError> {
    let parsed = json.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| AnswerError::new("a number", json))
}

/// Enough to see what is wrong.
const FOUND_BYTES_MAX: usize = 200;
