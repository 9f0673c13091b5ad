//! Scalars.

use super::Generator;

impl Generator {
    /// A scalar.
    pub(super) fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.number();
        }
        match self.chance.below(12) {
            0..=4 => self.number(),
            5 => "time()".to_owned(),
            6 => "pi()".to_owned(),
            7 => format!("-{}", self.scalar_operand(depth - 1)),
            8 => {
                let operator = self.pick(&["+", "-", "*", "/", "%", "^", "== bool", "< bool", ">= bool"]);
                format!("{} {operator} {}", self.scalar_operand(depth - 1), self.scalar_operand(depth - 1))
            }
            9 if self.dialect.is_experimental() => {
                self.pick(&["step()", "range()", "start()", "end()", "min_of(1, step())", "max_of(2, 3)"]).to_owned()
            }
            _ => {
                let inner = match self.chance.one_in(2) {
                    true => format!("{} ({})", self.pick(&["sum", "max", "min"]), self.vector(depth - 1)),
                    false => self.vector(depth - 1),
                };
                format!("scalar({inner})")
            }
        }
    }

    /// A scalar that may stand beside an operator.
    pub(super) fn scalar_operand(&mut self, depth: usize) -> String {
        let text = self.scalar(depth);
        match text.contains(' ') || text.starts_with('-') {
            true => format!("({text})"),
            false => text,
        }
    }

    pub(super) fn number(&mut self) -> String {
        self.pick(&["0", "1", "2", "0.5", "-1", "3.25", "10", "100", "1e6", "Inf", "-Inf", "NaN", "0x1f"]).to_owned()
    }
}
