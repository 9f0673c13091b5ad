//! From a tree to text on several lines, as Prometheus formats queries: what is longer than [`LINE_BYTES`] is broken at its
//! operators, arguments and parentheses, two spaces deeper for each level.

use std::fmt::{self, Display, Write};

use crate::ast::{Aggregation, Binary, Expr, Subquery};

/// What is not longer stays on one line.
const LINE_BYTES: usize = 100;

const INDENT: &str = "  ";

impl Expr {
    /// The expression on as many lines as it needs, or `None` if that takes more than `bytes_max`: indentation makes deep
    /// trees long.
    pub fn pretty(&self, bytes_max: usize) -> Option<String> {
        let mut out = Bounded { text: String::new(), bytes_max };
        write_pretty(self, 0, &mut out).ok()?;
        Some(out.text)
    }
}

fn write_pretty(expr: &Expr, level: usize, out: &mut Bounded) -> fmt::Result {
    if let Expr::Unary(unary) = expr {
        out.indent(level)?;
        out.write_str(unary.op.as_str())?;
        // The operand stands behind the sign, its further lines where they would stand without it.
        let begins = out.text.len();
        write_pretty(&unary.expr, level, out)?;
        let spaces = out.text[begins..].bytes().take_while(|byte| *byte == b' ').count();
        out.text.replace_range(begins..begins + spaces, "");
        return Ok(());
    }
    if !needs_split(expr) {
        // Prometheus does not indent a short subquery.
        let level = if matches!(expr, Expr::Subquery(_)) { 0 } else { level };
        out.indent(level)?;
        return write!(out, "{expr}");
    }
    match expr {
        Expr::Aggregation(node) => write_aggregation(node, level, out),
        Expr::Binary(node) => write_binary(node, level, out),
        Expr::Subquery(node) => write_subquery(node, level, out),
        Expr::Call(node) => {
            out.indent(level)?;
            writeln!(out, "{}(", node.function.name)?;
            for (index, arg) in node.args.iter().enumerate() {
                out.write_str(if index == 0 { "" } else { ",\n" })?;
                write_pretty(arg, level + 1, out)?;
            }
            out.close(level)
        }
        Expr::Paren(node) => {
            out.indent(level)?;
            out.write_str("(\n")?;
            write_pretty(&node.expr, level + 1, out)?;
            out.close(level)
        }
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) | Expr::Unary(_) => {
            out.indent(level)?;
            write!(out, "{expr}")
        }
    }
}

fn write_aggregation(node: &Aggregation, level: usize, out: &mut Bounded) -> fmt::Result {
    out.indent(level)?;
    writeln!(out, "{}(", node.head())?;
    if let Some(param) = &node.param {
        write_pretty(param, level + 1, out)?;
        out.write_str(",\n")?;
    }
    write_pretty(&node.expr, level + 1, out)?;
    out.close(level)
}

fn write_binary(node: &Binary, level: usize, out: &mut Bounded) -> fmt::Result {
    write_pretty(&node.lhs, level + 1, out)?;
    out.write_char('\n')?;
    out.indent(level)?;
    writeln!(out, "{}", node.operator())?;
    write_pretty(&node.rhs, level + 1, out)
}

fn write_subquery(node: &Subquery, level: usize, out: &mut Bounded) -> fmt::Result {
    write_pretty(&node.expr, level, out)?;
    write!(out, "{}", node.suffix())
}

/// Whether the expression is longer than a line. Looks at no more of it than that takes.
fn needs_split(expr: &Expr) -> bool {
    let mut line = Bounded { text: String::new(), bytes_max: LINE_BYTES };
    write!(line, "{expr}").is_err()
}

/// A text that is not written beyond its bound.
struct Bounded {
    text: String,
    bytes_max: usize,
}

impl Bounded {
    fn indent(&mut self, level: usize) -> fmt::Result {
        (0..level).try_for_each(|_| self.write_str(INDENT))
    }

    fn close(&mut self, level: usize) -> fmt::Result {
        self.write_char('\n')?;
        self.indent(level)?;
        self.write_char(')')
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > self.bytes_max {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// A part of a node, printed by a function.
pub(crate) struct Part<F>(pub(crate) F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> Display for Part<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Options, parse_expr};

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let expr = parse_expr(query, Options::all()).unwrap();
        let pretty = expr.pretty(1 << 20).unwrap();
        assert_eq!(pretty, expected);
        assert_eq!(parse_expr(&pretty, Options::all()).unwrap().to_string(), expr.to_string());
        assert_eq!(expr.pretty(expected.len() - 1), None);
    }

    #[test]
    fn short_queries_stay_on_a_line() {
        check("sum by(job)(rate(x[5m]))", "sum by (job) (rate(x[5m]))");
        check("a+on(x)group_left()b", "a + on (x) group_left () b");
        check("-(1)", "-(1)");
    }

    #[test]
    fn long_ones_are_broken_as_prometheus_breaks_them() {
        let name = "a_metric_with_a_name_that_is_long_enough_to_fill_half_of_a_line";
        check(
            &format!("sum without(job,instance)(rate({name}[5m])) / ignoring(x) (topk(3, {name}) or {name})"),
            &format!(
                "  sum without (job, instance) (\n    rate({name}[5m])\n  )\n/ ignoring (x)\n  (\n      topk(3, {name})\n    or\n      {name}\n  )"
            ),
        );
        check(
            &format!("quantile(0.9, {name} * 2 + {name})"),
            &format!("quantile(\n  0.9,\n    {name} * 2\n  +\n    {name}\n)"),
        );
        check(
            &format!(
                "max_over_time(label_replace({name},\"destination\",\"$1\",\"source\",\"(.*)\")[1h:5m] offset 1m)"
            ),
            &format!(
                "max_over_time(\n  label_replace(\n    {name},\n    \"destination\",\n    \"$1\",\n    \"source\",\n    \"(.*)\"\n  )[1h:5m] offset 1m\n)"
            ),
        );
        check(&format!("-({name} + {name})"), &format!("-(\n    {name}\n  +\n    {name}\n)"));
        check(&format!("{name} + -({name} + 1)"), &format!("  {name}\n+\n  -({name} + 1)"));
    }

    #[test]
    fn depth_makes_length_which_is_bounded() {
        let deep = format!("{}{}{}", "(".repeat(300), "x".repeat(120), ")".repeat(300));
        let expr = parse_expr(&deep, Options::all()).unwrap();
        assert_eq!(expr.pretty(10_000), None);
        assert!(expr.pretty(1 << 20).unwrap().len() > 100_000);
    }
}
