//! Walking over a line.

/// A place in a line.
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    /// Goes over one ASCII character, which was looked at.
    pub(super) fn skip(&mut self) {
        self.rest = &self.rest[1..];
    }

    pub(super) fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), &'static str> {
        if self.peek() != Some(byte) {
            return Err(otherwise);
        }
        self.skip();
        Ok(())
    }

    /// What stands before the next space.
    pub(super) fn word(&mut self) -> &'a str {
        self.take(self.rest.find(' ').unwrap_or(self.rest.len()))
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    pub(super) fn metric_name(&mut self) -> Result<&'a str, &'static str> {
        self.name(|byte| byte == b':', "a metric's name is expected")
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`
    pub(super) fn label_name(&mut self) -> Result<&'a str, &'static str> {
        self.name(|_| false, "a label's name is expected")
    }

    fn name(&mut self, also: impl Fn(u8) -> bool, otherwise: &'static str) -> Result<&'a str, &'static str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte);
        let length = self.rest.bytes().take_while(|byte| fits(*byte)).count();
        match self.peek() {
            Some(first) if length > 0 && !first.is_ascii_digit() => Ok(self.take(length)),
            _ => Err(otherwise),
        }
    }

    /// A text in quotes, with its escapes undone. Lives in the line, or in `scratch`.
    pub(super) fn quoted<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, &'static str>
    where
        'a: 's,
    {
        self.expect(b'"', "a text in quotes is expected")?;
        let end = self.rest.find(['"', '\\']).ok_or(NO_END)?;
        if self.rest.as_bytes()[end] == b'"' {
            let text = self.take(end);
            self.skip();
            return Ok(text);
        }
        scratch.clear();
        loop {
            let next = self.rest.find(['"', '\\']).ok_or(NO_END)?;
            scratch.push_str(self.take(next));
            let is_end = self.peek() == Some(b'"');
            self.skip();
            if is_end {
                return Ok(scratch);
            }
            scratch.push(match self.peek() {
                Some(b'n') => '\n',
                Some(b'"') => '"',
                Some(b'\\') => '\\',
                _ => return Err("a backslash must be followed by n, a quote or a backslash"),
            });
            self.skip();
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

const NO_END: &str = "a text in quotes has no end";
