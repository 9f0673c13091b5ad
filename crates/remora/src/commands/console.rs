//! Where a command's words go, and where answers come from.
//!
//! What was asked for goes to standard output, everything else to standard error, so that output can be used as it is.

use std::io::{self, BufRead, IsTerminal as _, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

use crate::cli::service::ServiceOptions;
use crate::client::ClientError;

/// The one who asked.
pub(crate) struct Console {
    out: Box<dyn Write + Send + Sync>,
    notes: Box<dyn Write + Send + Sync>,
    input: Box<dyn BufRead + Send + Sync>,
    /// Columns of the terminal that `out` is, if it is one.
    width: Option<u16>,
    /// Whether somebody sits there who can be asked.
    interactive: bool,
    format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Tables, for people.
    Table,
    /// The service's own JSON, for scripts.
    Json,
    /// What names each thing, one a line.
    Quiet,
}

impl Format {
    /// As the options say.
    pub(crate) fn of(options: &ServiceOptions) -> Self {
        match (options.json, options.quiet) {
            (true, _) => Self::Json,
            (_, true) => Self::Quiet,
            _ => Self::Table,
        }
    }
}

impl Console {
    /// That of the process.
    pub(crate) fn of_process(options: &ServiceOptions) -> Self {
        let width = io::stdout().is_terminal().then(terminal_width);
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            notes: Box::new(io::stderr()),
            input: Box::new(io::BufReader::new(io::stdin())),
            width,
            interactive,
            format: Format::of(options),
        }
    }

    /// One made of its parts: `width` is that of the terminal if it is one, with somebody before it.
    #[cfg(test)]
    pub(crate) fn of_parts(
        out: Box<dyn Write + Send + Sync>,
        notes: Box<dyn Write + Send + Sync>,
        input: Box<dyn BufRead + Send + Sync>,
        width: Option<u16>,
        format: Format,
    ) -> Self {
        Self { out, notes, input, width, interactive: width.is_some(), format }
    }

    /// How results are printed.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Columns of the terminal, if it is one.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Prints several resources: as JSON, by what `name` gives, or as a table.
    pub(crate) fn resources(
        &mut self,
        resources: &[Value],
        name: impl Fn(&Value) -> String,
        columns: &[&str],
        row: impl FnMut(&Value) -> Vec<String>,
    ) -> Result<(), ClientError> {
        match self.format {
            Format::Json => self.json(&Value::Array(resources.to_vec())),
            Format::Quiet => resources.iter().try_for_each(|resource| self.line(&name(resource))),
            Format::Table => {
                let rows = resources.iter().map(row).collect();
                self.table(columns, rows)
            }
        }
    }

    /// Prints one resource: as JSON, by `name`, or as `fields`. Fields without a value are left out.
    pub(crate) fn resource(
        &mut self,
        resource: &Value,
        name: &str,
        fields: Vec<(&str, String)>,
    ) -> Result<(), ClientError> {
        match self.format {
            Format::Json => self.json(resource),
            Format::Quiet => self.line(name),
            Format::Table => self.fields(&fields),
        }
    }

    /// Prints JSON.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), ClientError> {
        let text = serde_json::to_string_pretty(value).expect("JSON values can be written");
        self.write(&format!("{text}\n"))
    }

    /// Prints a table; of an empty one the note says that there is nothing.
    pub(crate) fn table(&mut self, columns: &[&str], rows: Vec<Vec<String>>) -> Result<(), ClientError> {
        if rows.is_empty() {
            return self.note("there is none");
        }
        let text = self.layout(columns, rows);
        self.write(&text)
    }

    /// A table as text.
    pub(crate) fn layout(&self, columns: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(columns.iter().copied());
        match self.width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            // Scripts and pagers get a line for each row, however long.
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Prints names with their values, those without one left out.
    pub(crate) fn fields(&mut self, fields: &[(&str, String)]) -> Result<(), ClientError> {
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let filled = fields.iter().filter(|(_, value)| !value.is_empty());
        let text: String = filled.map(|(name, value)| format!("{name:<width$}  {}\n", printable(value))).collect();
        self.write(&text)
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), ClientError> {
        self.write(&format!("{}\n", printable(text)))
    }

    /// Prints text as it is.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), ClientError> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|source| ClientError::Io { what: "standard output".to_owned(), source })
    }

    /// Tells people something beside the result; nothing when names alone or JSON were asked for.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), ClientError> {
        if self.format != Format::Table {
            return Ok(());
        }
        let written = writeln!(self.notes, "{text}");
        written.map_err(|source| ClientError::Io { what: "standard error".to_owned(), source })
    }

    /// Asks before something is destroyed.
    ///
    /// # Errors
    /// When it must not be, or nobody can be asked.
    pub(crate) fn confirm(&mut self, what: &str, yes: bool) -> Result<(), ClientError> {
        if yes {
            return Ok(());
        }
        if !self.interactive {
            return Err(ClientError::Usage(format!("nobody can be asked whether to {what}: say --yes to do it")));
        }
        let failed = |source| ClientError::Io { what: "the terminal".to_owned(), source };
        write!(self.notes, "{} [y/N] ", capitalised(what)).and_then(|()| self.notes.flush()).map_err(failed)?;
        let mut answer = String::new();
        self.input.read_line(&mut answer).map_err(failed)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(ClientError::Failed("nothing was changed".to_owned())),
        }
    }
}

/// What a terminal takes for a command, or for the end of a line, is shown as a sign.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| format!("{}{}?", first.to_uppercase(), characters.as_str()))
}

fn terminal_width() -> u16 {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col >= WIDTH_MIN => size.ws_col,
        _ => WIDTH_USUAL,
    }
}

/// Below this a table cannot be read anyway.
const WIDTH_MIN: u16 = 40;
const WIDTH_USUAL: u16 = 80;

#[cfg(test)]
mod tests {
    use super::super::test_support::{Written, console};
    use super::*;

    #[test]
    fn tables_are_aligned_and_lists_of_names_are_bare() {
        let rows = [serde_json::json!({"name": "a", "n": "1"}), serde_json::json!({"name": "long name", "n": "22"})];
        let own = |resource: &Value, key: &str| resource[key].as_str().unwrap().to_owned();
        let print = |format| {
            let written = Written::default();
            console(&written, format, None, "")
                .resources(
                    &rows,
                    |row| own(row, "name"),
                    &["NAME", "NUMBER"],
                    |row| vec![own(row, "name"), own(row, "n")],
                )
                .unwrap();
            written.out()
        };
        assert_eq!(print(Format::Table), "NAME       NUMBER\na          1\nlong name  22\n");
        assert_eq!(print(Format::Quiet), "a\nlong name\n");
        assert_eq!(serde_json::from_str::<Value>(&print(Format::Json)).unwrap(), Value::Array(rows.to_vec()));
    }

    #[test]
    fn wide_tables_fit_the_terminal() {
        let written = Written::default();
        let row = vec!["x".repeat(50), "y".repeat(50)];
        console(&written, Format::Table, Some(60), "").table(&["A", "B"], vec![row]).unwrap();
        assert!(written.out().lines().all(|line| line.chars().count() <= 60), "{}", written.out());
    }

    #[test]
    fn what_a_terminal_would_obey_is_only_shown() {
        let written = Written::default();
        console(&written, Format::Table, None, "")
            .fields(&[("a", "x\u{1b}[2Jy\nz".to_owned()), ("b", String::new())])
            .unwrap();
        assert_eq!(written.out(), "a  x\u{fffd}[2Jy\u{fffd}z\n");
    }

    #[test]
    fn destruction_is_confirmed() {
        for (typed, terminal, yes, goes_on) in [
            ("y\n", true, false, true),
            ("YES\n", true, false, true),
            ("\n", true, false, false),
            ("no\n", true, false, false),
            ("", true, false, false),
            ("y\n", false, false, false),
            ("", false, true, true),
        ] {
            let written = Written::default();
            let mut console = console(&written, Format::Table, terminal.then_some(80), typed);
            let outcome = console.confirm("delete the workspace w", yes);
            assert_eq!(outcome.is_ok(), goes_on, "{typed:?} {terminal} {yes}");
            assert_eq!(written.notes().contains("Delete the workspace w? [y/N]"), terminal && !yes);
            if let (Err(error), false) = (outcome, terminal) {
                assert_eq!(error.exit_code(), 2);
                assert!(error.to_string().contains("--yes"), "{error}");
            }
        }
    }
}
