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

/// Makes what others have written safe to print: what would move the cursor, colour, retitle or turn around the rest is
/// shown as what it is. A provider can say anything in a log or a reason, and a terminal would do it.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        // U+202A to U+202E and U+2066 to U+2069 change the direction in which text is shown.
        let is_harmful = c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if is_harmful && c != '\t' { clean.extend(c.escape_unicode()) } else { clean.push(c) }
    }
    clean
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_nothing_to_the_terminal() {
        for (text, shown) in [
            ("plain, ünïcode 🏖\tand tabs", "plain, ünïcode 🏖\tand tabs"),
            ("\x1b[2J\x1b]0;owned\x07", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}"),
            ("one\r\ntwo", "one\\u{d}\\u{a}two"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }
}
