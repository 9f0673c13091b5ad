//! Syntax trees as JSON (`/parse_query`), shaped as Prometheus' web interface reads them. Keys are in alphabetical order, as
//! its encoder writes maps.

use promql_syntax::{
    Aggregation, At, Binary, Call, Cardinality, Duration, DurationExpr, Expr, ExtendedRange, NumberLiteral, Subquery,
    Variadic, VectorMatching, VectorSelector,
};

use crate::json;

/// Writes an expression.
pub(crate) fn write_expr(out: &mut Vec<u8>, expr: &Expr) {
    let mut object = Object::new(out);
    match expr {
        Expr::Number(node) => {
            object.text("type", "numberLiteral").value("val", |out| write_number(out, node.value));
        }
        Expr::String(node) => {
            object.text("type", "stringLiteral").text("val", &node.value);
        }
        Expr::Vector(node) => write_selector(&mut object, node, None),
        Expr::Matrix(node) => write_selector(&mut object, &node.selector, Some(&node.range)),
        Expr::Subquery(node) => write_subquery(&mut object, node),
        Expr::Call(node) => write_call(&mut object, node),
        Expr::Aggregation(node) => write_aggregation(&mut object, node),
        Expr::Binary(node) => write_binary(&mut object, node),
        Expr::Unary(node) => {
            object.expr("expr", &node.expr).text("op", node.op.as_str()).text("type", "unaryExpr");
        }
        Expr::Paren(node) => {
            object.expr("expr", &node.expr).text("type", "parenExpr");
        }
    }
    object.end();
}

/// An instant selector, or with a range one over it.
fn write_selector(object: &mut Object<'_>, node: &VectorSelector, range: Option<&Duration>) {
    object.flag("anchored", node.extended == Some(ExtendedRange::Anchored)).value("matchers", |out| {
        json::write_list(out, &node.matchers, |out, matcher| {
            let mut object = Object::new(out);
            object.text("name", matcher.name()).text("type", matcher.op().as_str()).text("value", matcher.value());
            object.end();
        });
    });
    object.text("name", node.name.as_deref().unwrap_or("")).duration("offset", "offsetExpr", Some(&node.offset));
    if range.is_some() {
        object.duration("range", "rangeExpr", range);
    }
    object.flag("smoothed", node.extended == Some(ExtendedRange::Smoothed)).at(node.at);
    object.text("type", if range.is_some() { "matrixSelector" } else { "vectorSelector" });
}

fn write_subquery(object: &mut Object<'_>, node: &Subquery) {
    object
        .expr("expr", &node.expr)
        .duration("offset", "offsetExpr", Some(&node.offset))
        .duration("range", "rangeExpr", Some(&node.range))
        .start_or_end(node.at)
        .duration("step", "stepExpr", node.step.as_ref())
        .timestamp(node.at)
        .text("type", "subquery");
}

fn write_call(object: &mut Object<'_>, node: &Call) {
    let function = node.function;
    object.value("args", |out| json::write_list(out, &node.args, write_expr)).value("func", |out| {
        let mut object = Object::new(out);
        let variadic = match function.variadic {
            Variadic::None => 0,
            Variadic::UpTo(count) => i64::from(count),
            Variadic::Unbounded => -1,
        };
        object
            .value("argTypes", |out| json::write_texts(out, function.arg_types.iter().map(|kind| kind.as_str())))
            .text("name", function.name)
            .text("returnType", function.return_type.as_str())
            .integer("variadic", variadic);
        object.end();
    });
    object.text("type", "call");
}

fn write_aggregation(object: &mut Object<'_>, node: &Aggregation) {
    object.expr("expr", &node.expr).texts("grouping", &node.grouping).text("op", node.op.as_str());
    match &node.param {
        Some(param) => object.expr("param", param),
        None => object.null("param"),
    };
    object.text("type", "aggregation").flag("without", node.without);
}

fn write_binary(object: &mut Object<'_>, node: &Binary) {
    object.flag("bool", node.return_bool).expr("lhs", &node.lhs);
    match &node.matching {
        Some(matching) => object.value("matching", |out| write_matching(out, matching)),
        None => object.null("matching"),
    };
    object.text("op", node.op.as_str()).expr("rhs", &node.rhs).text("type", "binaryExpr");
}

fn write_matching(out: &mut Vec<u8>, matching: &VectorMatching) {
    let cardinality = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let fill = |out: &mut Vec<u8>, value: Option<f64>| match value.filter(|value| value.is_finite()) {
        Some(value) => json::write_float(out, value),
        None => out.extend_from_slice(b"null"),
    };
    let mut object = Object::new(out);
    object.text("card", cardinality).value("fillValues", |out| {
        let mut object = Object::new(out);
        object.value("lhs", |out| fill(out, matching.fill_left)).value("rhs", |out| fill(out, matching.fill_right));
        object.end();
    });
    object.texts("include", &matching.include).texts("labels", &matching.labels).flag("on", matching.on);
    object.end();
}

/// An expression over durations; `wrapped` says that it stands in parentheses.
fn write_duration_expr(out: &mut Vec<u8>, expr: &DurationExpr, wrapped: bool) {
    let (op, left, right): (&str, Option<&DurationExpr>, Option<&DurationExpr>) = match expr {
        DurationExpr::Number(node) => return write_duration_number(out, node),
        DurationExpr::Paren(inner, _) => return write_duration_expr(out, inner, true),
        DurationExpr::Step(_) => ("step", None, None),
        DurationExpr::Range(_) => ("range", None, None),
        DurationExpr::MinOf(left, right, _) => ("min_of", Some(left), Some(right)),
        DurationExpr::MaxOf(left, right, _) => ("max_of", Some(left), Some(right)),
        DurationExpr::Negative(operand, _) => ("-", None, Some(operand)),
        DurationExpr::Binary(op, left, right, _) => (op.as_str(), Some(left), Some(right)),
    };
    let operand = |out: &mut Vec<u8>, operand: Option<&DurationExpr>| match operand {
        Some(operand) => write_duration_expr(out, operand, false),
        None => out.extend_from_slice(b"null"),
    };
    let mut object = Object::new(out);
    object
        .value("lhs", |out| operand(out, left))
        .text("op", op)
        .value("rhs", |out| operand(out, right))
        .text("type", "durationExpr")
        .flag("wrapped", wrapped);
    object.end();
}

fn write_duration_number(out: &mut Vec<u8>, node: &NumberLiteral) {
    let mut object = Object::new(out);
    object
        .flag("duration", node.is_duration)
        .text("type", "numberLiteral")
        .value("val", |out| write_number(out, node.value));
    object.end();
}

fn write_number(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    json::write_plain_float(out, value);
    out.push(b'"');
}

/// A JSON object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn end(self) {
        self.out.push(b'}');
    }

    fn value(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        json::write_text(self.out, key);
        self.out.push(b':');
        write(self.out);
        self
    }

    fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.value(key, |out| json::write_text(out, text))
    }

    fn texts(&mut self, key: &str, texts: &[String]) -> &mut Self {
        self.value(key, |out| json::write_texts(out, texts.iter().map(String::as_str)))
    }

    fn flag(&mut self, key: &str, flag: bool) -> &mut Self {
        self.value(key, |out| out.extend_from_slice(if flag { b"true" } else { b"false" }))
    }

    fn integer(&mut self, key: &str, number: i64) -> &mut Self {
        self.value(key, |out| out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()))
    }

    fn null(&mut self, key: &str) -> &mut Self {
        self.value(key, |out| out.extend_from_slice(b"null"))
    }

    fn expr(&mut self, key: &str, expr: &Expr) -> &mut Self {
        self.value(key, |out| write_expr(out, expr))
    }

    /// Milliseconds, and the expression that they are to be computed from, if it is one.
    fn duration(&mut self, key: &str, expr_key: &str, duration: Option<&Duration>) -> &mut Self {
        match duration {
            None => self.integer(key, 0).null(expr_key),
            Some(Duration::Ms(ms)) => self.integer(key, *ms).null(expr_key),
            Some(Duration::Expr(expr)) => {
                self.integer(key, 0).value(expr_key, |out| write_duration_expr(out, expr, false))
            }
        }
    }

    fn at(&mut self, at: Option<At>) -> &mut Self {
        self.start_or_end(at).timestamp(at)
    }

    fn start_or_end(&mut self, at: Option<At>) -> &mut Self {
        match at {
            Some(At::Start) => self.text("startOrEnd", "start"),
            Some(At::End) => self.text("startOrEnd", "end"),
            Some(At::Timestamp(_)) | None => self.null("startOrEnd"),
        }
    }

    fn timestamp(&mut self, at: Option<At>) -> &mut Self {
        match at {
            Some(At::Timestamp(timestamp)) => self.integer("timestamp", timestamp.0),
            Some(At::Start | At::End) | None => self.null("timestamp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use promql_syntax::{Options, parse_expr};

    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let mut out = Vec::new();
        write_expr(&mut out, &parse_expr(query, Options::all()).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn trees_as_prometheus_writes_them() {
        check("1e21", r#"{"type":"numberLiteral","val":"1000000000000000000000"}"#);
        check("\"a<\"", r#"{"type":"stringLiteral","val":"a\u003c"}"#);
        check(
            "-(1)",
            r#"{"expr":{"expr":{"type":"numberLiteral","val":"1"},"type":"parenExpr"},"op":"-","type":"unaryExpr"}"#,
        );
        check(
            "up{job=~\"a.*\"} @ 5.5 offset -1m",
            concat!(
                r#"{"anchored":false,"matchers":[{"name":"job","type":"=~","value":"a.*"},{"name":"__name__","type":"=","value":"up"}],"#,
                r#""name":"up","offset":-60000,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":5500,"type":"vectorSelector"}"#
            ),
        );
        check(
            "{a=\"b\"}[5m] @ end()",
            concat!(
                r#"{"anchored":false,"matchers":[{"name":"a","type":"=","value":"b"}],"name":"","offset":0,"offsetExpr":null,"#,
                r#""range":300000,"rangeExpr":null,"smoothed":false,"startOrEnd":"end","timestamp":null,"type":"matrixSelector"}"#
            ),
        );
    }

    const X: &str = r#"{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"x"}],"name":"x","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"}"#;

    #[test]
    fn operators_and_calls() {
        check(
            "topk by (a) (2, x)",
            &format!(
                r#"{{"expr":{X},"grouping":["a"],"op":"topk","param":{{"type":"numberLiteral","val":"2"}},"type":"aggregation","without":false}}"#
            ),
        );
        check(
            "sum(x)",
            &format!(r#"{{"expr":{X},"grouping":[],"op":"sum","param":null,"type":"aggregation","without":false}}"#),
        );
        check(
            "x > bool 1",
            &format!(
                r#"{{"bool":true,"lhs":{X},"matching":null,"op":"\u003e","rhs":{{"type":"numberLiteral","val":"1"}},"type":"binaryExpr"}}"#
            ),
        );
        check(
            "x * on (a) group_left (b) x",
            &format!(
                r#"{{"bool":false,"lhs":{X},"matching":{{"card":"many-to-one","fillValues":{{"lhs":null,"rhs":null}},"include":["b"],"labels":["a"],"on":true}},"op":"*","rhs":{X},"type":"binaryExpr"}}"#
            ),
        );
        check(
            "time()",
            r#"{"args":[],"func":{"argTypes":[],"name":"time","returnType":"scalar","variadic":0},"type":"call"}"#,
        );
        check(
            "round(x)",
            &format!(
                r#"{{"args":[{X}],"func":{{"argTypes":["vector","scalar"],"name":"round","returnType":"vector","variadic":1}},"type":"call"}}"#
            ),
        );
        check(
            "x[1h:1m]",
            &format!(
                r#"{{"expr":{X},"offset":0,"offsetExpr":null,"range":3600000,"rangeExpr":null,"startOrEnd":null,"step":60000,"stepExpr":null,"timestamp":null,"type":"subquery"}}"#
            ),
        );
        check(
            "x[1h:(step() * 2)]",
            &format!(
                r#"{{"expr":{X},"offset":0,"offsetExpr":null,"range":3600000,"rangeExpr":null,"startOrEnd":null,"step":0,"stepExpr":{{"lhs":{{"lhs":null,"op":"step","rhs":null,"type":"durationExpr","wrapped":false}},"op":"*","rhs":{{"duration":false,"type":"numberLiteral","val":"2"}},"type":"durationExpr","wrapped":true}},"timestamp":null,"type":"subquery"}}"#
            ),
        );
    }
}
