//! People from a spreadsheet: a CSV file (RFC 4180) with the columns `email`, `name` and `groups`, read row by row. Each
//! row is good, or told what is wrong with it and what would be right; nothing is repaired.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use cardea_core::{Diagnostic, Diagnostics, GroupId, diagnostic::nearest};
use csv::StringRecord;

use crate::pool::{Email, User};

/// A row that says somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the file on which it begins, counted from 1.
    pub line: u64,
    /// The address, in its canonical form.
    pub email: Email,
    /// The name; the address where the row says none.
    pub name: String,
    /// The groups, each once and sorted.
    pub groups: Vec<GroupId>,
}

/// A file, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// The good rows, in the file's order.
    pub rows: Vec<Row>,
    /// What is wrong with the others, in the file's order: one for each mistake, the first [`MOST_TOLD`].
    pub mistakes: Diagnostics,
    /// How many rows they are.
    pub bad: u64,
}

/// As many mistakes are kept as anybody mends in one go; all are counted.
pub const MOST_TOLD: usize = 1000;
/// Rows in one file: what is kept of them fits into some thirty megabytes.
pub const MOST_ROWS: usize = 100_000;
/// A file larger than this is cut off and refused: 640 bytes a row are an address and a name of the greatest length.
const MOST_BYTES: u64 = 640 * MOST_ROWS as u64;

/// Reads a file, named `source` in what is told. `groups` are the tenant's. What is wrong with the file as a whole is an
/// error: no column `email`, a column that nobody knows, too many rows.
pub fn read(source: &str, file: impl io::Read, groups: &BTreeSet<&GroupId>) -> Result<Import, Diagnostic> {
    let mut file = io::Read::take(file, MOST_BYTES);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Lines::of(&mut file));
    let header = reader.headers().map_err(|error| unreadable(source, &error))?.clone();
    let columns = Columns::find(source, &header)?;
    let mut reading = Reading { source, groups, columns, first: BTreeMap::new(), import: Import::default() };
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                reading.is_no_text(reader.position().line().saturating_sub(1));
                continue;
            }
            Err(error) => return Err(unreadable(source, &error)),
        }
        // Where a record begins the reader says before it has passed over empty lines; where it ends, it knows.
        let inside = record.iter().map(|field| field.matches('\n').count() as u64).sum::<u64>();
        reading.take(reader.position().line().saturating_sub(1 + inside), &record);
        if reading.rows() > MOST_ROWS {
            return Err(too_large(source));
        }
    }
    drop(reader);
    if file.limit() == 0 {
        return Err(too_large(source));
    }
    Ok(reading.import)
}

/// Where in a row what stands.
#[derive(Debug, Clone, Copy)]
struct Columns {
    count: usize,
    email: usize,
    name: Option<usize>,
    groups: Option<usize>,
}

const COLUMNS: [&str; 3] = ["email", "name", "groups"];

impl Columns {
    fn find(source: &str, header: &StringRecord) -> Result<Self, Diagnostic> {
        let wrong = |message: String| Diagnostic { line: Some(1), ..Diagnostic::new(source, message) };
        let names: Vec<_> = header.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        if let [only] = &*names
            && let Some(other) = only.chars().find(|c| matches!(c, ';' | '\t' | '|'))
        {
            let one = wrong(format!("the columns are divided by {other:?}"));
            return Err(one.help("divide them by commas, as in `email,name,groups`"));
        }
        let at = |wanted: &str| names.iter().position(|name| name == wanted);
        if let Some(odd) = names.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
            let one = wrong(format!("there is no column `{}`", shown(odd)));
            return Err(match near(odd, COLUMNS) {
                Some(near) => one.help(format!("did you mean `{near}`?")),
                None => one.help("the first line names the columns: `email`, `name`, `groups`"),
            });
        }
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            return Err(wrong("a column is there twice".to_owned()).help("keep one of each"));
        }
        let Some(email) = at("email") else {
            return Err(wrong("there is no column `email`".to_owned()).help("begin the file with `email,name,groups`"));
        };
        Ok(Self { count: names.len(), email, name: at("name"), groups: at("groups") })
    }
}

/// A file that is being read.
struct Reading<'a> {
    source: &'a str,
    groups: &'a BTreeSet<&'a GroupId>,
    columns: Columns,
    /// The line on which each address stands first.
    first: BTreeMap<Email, u64>,
    import: Import,
}

impl Reading<'_> {
    fn rows(&self) -> usize {
        self.import.rows.len() + usize::try_from(self.import.bad).unwrap_or(usize::MAX)
    }

    fn take(&mut self, line: u64, record: &StringRecord) {
        let mut mistakes = self.mistakes();
        let row = self.row(line, record, &mut mistakes);
        match row {
            Some(row) if !mistakes.any => self.import.rows.push(row),
            _ => self.refuse(line, mistakes),
        }
    }

    /// None yet, and as many as may be told still.
    fn mistakes(&self) -> Mistakes {
        Mistakes { told: Vec::new(), room: MOST_TOLD.saturating_sub(self.import.mistakes.0.len()), any: false }
    }

    fn is_no_text(&mut self, line: u64) {
        let mut mistakes = self.mistakes();
        mistakes.tell(|| {
            Diagnostic::new(self.source, "the row is not text in UTF-8").help("save the file as CSV in UTF-8")
        });
        self.refuse(line, mistakes);
    }

    fn refuse(&mut self, line: u64, mistakes: Mistakes) {
        self.import.bad += 1;
        self.import.mistakes.0.extend(mistakes.told.into_iter().map(|one| on_line(one, line)));
    }

    fn row(&mut self, line: u64, record: &StringRecord, mistakes: &mut Mistakes) -> Option<Row> {
        let wrong = |message: String| Diagnostic::new(self.source, message);
        let Columns { count, email, name, groups } = self.columns;
        if record.len() != count {
            mistakes.tell(|| {
                let columns = if record.len() == 1 { "column" } else { "columns" };
                let one = wrong(format!("the row has {} {columns} and not {count}", record.len()));
                one.help("put what holds a comma between quotes")
            });
            return None;
        }
        let said = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default().trim();
        let email = match Email::parse(said(Some(email))) {
            Ok(email) => Some(email),
            Err(error) => {
                mistakes.tell(|| {
                    wrong(format!("`{}` is not an address", shown(said(Some(email))))).help(error.to_string())
                });
                None
            }
        };
        let groups = self.groups_of(said(groups), mistakes);
        let name = match said(name) {
            "" => email.as_ref().map(ToString::to_string),
            name => User::checked_name(name).map(str::to_owned).or_else(|| {
                mistakes.tell(|| {
                    let one = wrong(format!("`{}` cannot be a name", shown(name)));
                    one.help(User::NAME_HELP)
                });
                None
            }),
        };
        let (email, name) = (email?, name?);
        if let Some(first) = self.first.get(&email) {
            mistakes.tell(|| {
                let one = wrong(format!("`{email}` is on line {first} already"));
                one.help("keep one row for each person; every spelling of an address counts as one")
            });
            return None;
        }
        self.first.insert(email.clone(), line);
        Some(Row { line, email, name, groups })
    }

    /// `a; b` as groups, if the tenant has them all. Each word is looked at once, and of a cell that says more of them than
    /// there are groups no more than shows that one is wrong.
    fn groups_of(&self, text: &str, mistakes: &mut Mistakes) -> Vec<GroupId> {
        let (mut groups, mut words) = (BTreeSet::new(), BTreeSet::new());
        for word in text.split(';').map(str::trim).filter(|word| !word.is_empty()) {
            if !words.insert(word) {
                continue;
            }
            if words.len() > self.groups.len() + 1 {
                break;
            }
            match GroupId::parse(word) {
                Ok(group) if self.groups.contains(&group) => {
                    groups.insert(group);
                }
                _ => mistakes.tell(|| {
                    let one = Diagnostic::new(self.source, format!("there is no group `{}`", shown(word)));
                    match near(word, self.groups.iter().map(|group| group.as_str())) {
                        Some(near) => one.help(format!("did you mean `{near}`?")),
                        None => one.help("name groups of the tenant, divided by `;`"),
                    }
                }),
            }
        }
        groups.into_iter().collect()
    }
}

/// What is wrong with a row.
struct Mistakes {
    told: Vec<Diagnostic>,
    /// How many may be told still.
    room: usize,
    /// Whether there is one, told or not.
    any: bool,
}

impl Mistakes {
    /// One more. It is made only where it is told: looking for what was meant costs something.
    fn tell(&mut self, made: impl FnOnce() -> Diagnostic) {
        self.any = true;
        if self.told.len() < self.room {
            self.told.push(made());
        }
    }
}

/// What a word may have meant. Not for one longer than any name: the search grows with it.
fn near<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MOST_SHOWN { None } else { nearest(word, names) }
}

/// Characters of what a file says that are told.
const MOST_SHOWN: usize = 80;

/// A file in which every line ends by `\n` alone, the last one too, whatever system wrote it: so that lines are counted.
struct Lines<R> {
    file: R,
    last: u8,
}

impl<R: io::Read> Lines<R> {
    const fn of(file: R) -> Self {
        Self { file, last: b'\n' }
    }
}

impl<R: io::Read> io::Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(into)?;
            if read == 0 {
                let open = !matches!(self.last, b'\n' | b'\r') && !into.is_empty();
                if open {
                    (into[0], self.last) = (b'\n', b'\n');
                }
                return Ok(usize::from(open));
            }
            let mut kept = 0;
            for nth in 0..read {
                let byte = into[nth];
                if !(byte == b'\n' && self.last == b'\r') {
                    into[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
                self.last = byte;
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

/// The same, on a line of its file.
pub fn on_line(one: Diagnostic, line: u64) -> Diagnostic {
    Diagnostic { line: u32::try_from(line).ok(), ..one }
}

/// What a file says, short enough to be told: a quote that is never closed makes one value of all that follows.
fn shown(text: &str) -> String {
    let mut short: String =
        text.chars().take(MOST_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn unreadable(source: &str, error: &csv::Error) -> Diagnostic {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            on_line(Diagnostic::new(source, "the file is not text in UTF-8").help("save it as CSV in UTF-8"), line)
        }
        _ => Diagnostic::new(source, format!("the file cannot be read: {error}")),
    }
}

fn too_large(source: &str) -> Diagnostic {
    Diagnostic::new(source, format!("the file has more than {MOST_ROWS} rows, or more than {MOST_BYTES} bytes"))
        .help("divide it into several")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &[u8]) -> Result<Import, Diagnostic> {
        let groups: Vec<_> = ["readers", "writers"].iter().map(|name| GroupId::parse(name).unwrap()).collect();
        read("people.csv", text, &groups.iter().collect())
    }

    #[test]
    fn what_a_spreadsheet_exports_is_read() {
        let text = "\u{feff}Name,E-Mail".replace("E-Mail", "email")
            + ",GROUPS\r\n\"Reader, Mira\",Mira@Acme.example,readers; writers;readers\r\n\r\n,ben@acme.example,\r\n";
        let read = reads(text.as_bytes()).unwrap();
        assert_eq!(read.mistakes, Diagnostics::default());
        let said: Vec<_> =
            read.rows.iter().map(|row| (row.line, row.email.as_str(), &*row.name, row.groups.len())).collect();
        assert_eq!(said, [(2, "mira@acme.example", "Reader, Mira", 2), (4, "ben@acme.example", "ben@acme.example", 0)]);
    }

    #[test]
    fn lines_are_counted_whatever_system_wrote_them() {
        let rows = ["email,name", "a@x.example,A", "", "", "\"b@x.example\",\"B\nb\"", "c@x.example,C", "no"];
        for end in ["\n", "\r\n", "\r"] {
            for last in ["", end] {
                let text = rows.join("\n").replace('\n', end) + last;
                let read = reads(text.as_bytes()).unwrap();
                let good: Vec<_> = read.rows.iter().map(|row| row.line).collect();
                let bad: Vec<_> = read.mistakes.0.iter().map(|one| one.line.unwrap()).collect();
                assert_eq!((good, bad), (vec![2, 7], vec![5, 8]), "{end:?} {last:?}");
            }
        }
    }

    #[test]
    fn each_bad_row_is_told_with_its_line_and_what_would_be_right() {
        let mut text = b"email,name,groups\n\
            mira@acme.example,Mira,readers\n\
            no-address,Ben,readers\n\
            ben@acme.example,Ben,raeders;writers\n\
            MIRA@acme.example,Mira again,\n\
            eve@acme.example,Eve\n\
            \"zoe@acme.example\",\"Zoe\nNewline\",\n\
            last@acme.example,"
            .to_vec();
        text.extend(b"\xff\xfe,\nfine@acme.example,Fine,\n");
        let read = reads(&text).unwrap();
        assert_eq!(
            read.rows.iter().map(|row| row.email.as_str()).collect::<Vec<_>>(),
            ["mira@acme.example", "fine@acme.example"]
        );
        let told: Vec<_> = read.mistakes.0.iter().map(|one| (one.line.unwrap(), &*one.message)).collect();
        assert_eq!(
            told,
            [
                (3, "`no-address` is not an address"),
                (4, "there is no group `raeders`"),
                (5, "`mira@acme.example` is on line 2 already"),
                (6, "the row has 2 columns and not 3"),
                (7, "`Zoe\u{fffd}Newline` cannot be a name"),
                (9, "the row is not text in UTF-8"),
            ]
        );
        assert!(read.mistakes.0.iter().all(|one| one.help.is_some()), "{:?}", read.mistakes);
        assert_eq!(read.mistakes.0[1].help.as_deref(), Some("did you mean `readers`?"));
        assert_eq!(read.bad, 6);
    }

    #[test]
    fn a_file_that_is_no_such_table_is_refused_as_a_whole() {
        for (text, amiss) in [
            ("", "there is no column `email`"),
            ("name,groups\nMira,readers\n", "there is no column `email`"),
            ("email;name;groups\nmira@acme.example;Mira;readers\n", "the columns are divided by ';'"),
            ("email,name,group\n", "there is no column `group`"),
            ("email,email\n", "a column is there twice"),
        ] {
            let refused = reads(text.as_bytes()).unwrap_err();
            assert_eq!(refused.message, amiss, "{text:?}");
        }
    }

    #[test]
    fn as_many_rows_as_there_may_be_are_read_and_not_one_more() {
        let row = |nth: usize| format!("p{nth}@acme.example,Person {nth},readers\n");
        let mut text = "email,name,groups\n".to_owned();
        text.extend((0..MOST_ROWS).map(row));
        assert_eq!(reads(text.as_bytes()).unwrap().rows.len(), MOST_ROWS);
        text.push_str(&row(MOST_ROWS));
        assert!(reads(text.as_bytes()).unwrap_err().message.contains("more than 100000 rows"));
    }

    #[test]
    fn a_cell_of_a_megabyte_costs_no_more_than_there_are_groups() {
        let other: String = (0..200_000).map(|nth| format!("g{nth};")).collect();
        for (cell, told) in [("a;".repeat(500_000), 1), (other, 3), ("a".repeat(1_000_000), 1)] {
            let read = reads(format!("email,groups\nmira@acme.example,{cell}\n").as_bytes()).unwrap();
            assert_eq!((read.rows.len(), read.bad, read.mistakes.0.len()), (0, 1, told));
        }
    }

    #[test]
    fn the_first_thousand_mistakes_are_told_and_all_are_counted() {
        let text: String = (0..1500).map(|nth| format!("p{nth}@acme.example,raeders;wirters\n")).collect();
        let read = reads(format!("email,groups\n{text}last@acme.example,readers\n").as_bytes()).unwrap();
        assert_eq!((read.bad, read.mistakes.0.len(), read.rows.len()), (1500, MOST_TOLD, 1));
    }

    #[test]
    fn a_quote_that_is_never_closed_fills_no_memory_and_no_report() {
        let endless = io::Read::chain(&b"email\n\""[..], io::repeat(b'a'));
        assert!(read("people.csv", endless, &BTreeSet::new()).unwrap_err().message.contains("more than"));
        let long = format!("email\n\"{}\"\n", "a".repeat(10_000));
        assert!(reads(long.as_bytes()).unwrap().mistakes.0[0].message.len() < 200);
    }
}
