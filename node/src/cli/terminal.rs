//! Words, colours and aligned columns for people.

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};

/// The style of a heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// The style of what went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// The style of what went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// The style of what matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Prints a line; a reader that has gone is an error like any other.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Prints rows below a heading, each column as wide as its widest cell.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let pad = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    line(&format!("{HEADING}{}{HEADING:#}", pad(&mut heading.iter().copied())))?;
    rows.iter().try_for_each(|row| line(&pad(&mut row.iter().map(String::as_str))))
}
