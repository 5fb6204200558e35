//! Figures as people read them, and text that is safe in a page.

use kernel::Span;

/// Returns a text in which nothing is markup.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What a page may not hold, and what would turn the text around.
            '\n' | '\t' => safe.push(letter),
            _ if letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                safe.push('\u{fffd}');
            }
            _ => safe.push(letter),
        }
    }
    safe
}

/// Returns a text of at most so many letters.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Returns a whole number in groups of three digits.
pub(super) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns a number with about three digits that count, and a `k`, `M` or `G` behind it where it is large.
pub(super) fn number(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G", "T"])
}

/// Returns a number of bytes.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    // What would round to the next unit is shown in that.
    while value.abs() >= step * 0.9995 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let unit = units.get(unit).copied().unwrap_or_default();
    format!("{}{unit}", three(value))
}

/// Returns a number with three digits that count, and no zeros that say nothing.
pub(super) fn three(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Returns a share of 1 in per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", three(share * 100.0))
}

/// Returns milliseconds in the unit that suits them.
pub(super) fn millis(value: f64) -> String {
    match value {
        _ if value < 999.5 => format!("{} ms", three(value)),
        _ if value < 60_000.0 => format!("{} s", three(value / 1000.0)),
        _ if value < 3_600_000.0 => format!("{} min", three(value / 60_000.0)),
        _ => format!("{} h", three(value / 3_600_000.0)),
    }
}

/// Returns milliseconds as those or as seconds, whose steps by factors of ten are round.
pub(super) fn seconds(value: f64) -> String {
    if value < 999.5 { millis(value) } else { format!("{} s", three(value / 1000.0)) }
}

/// Returns a time in the unit that suits it.
pub(super) fn span(span: Span) -> String {
    millis(crate::measure::to_f64(span.0))
}

/// Returns millionths of a euro as euros.
pub(super) fn euros(micros: f64) -> String {
    let euros = micros / 1_000_000.0;
    if euros < 0.01 && euros > 0.0 { format!("€ {euros:.4}") } else { format!("€ {euros:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(
            escape("<script>alert('x')&\"</script>"),
            "&lt;script&gt;alert(&#39;x&#39;)&amp;&quot;&lt;/script&gt;"
        );
        assert_eq!(escape("a\u{0}\u{202e}b\nc"), "a\u{fffd}\u{fffd}b\nc");
    }

    #[test]
    fn figures_are_short_and_round_to_the_unit_that_they_show() {
        assert_eq!(
            ["0", "12", "1\u{202f}234", "1\u{202f}234\u{202f}567"].map(str::to_owned),
            [0, 12, 1234, 1_234_567].map(whole)
        );
        assert_eq!(
            [0.0, 0.1234, 7.0, 999.9, 1000.0, 1_234_000.0].map(number),
            ["0", "0.123", "7", "1k", "1k", "1.23M"]
        );
        assert_eq!([0.0, 512.0, 1536.0, 20.0 * 1024.0].map(bytes), ["0 B", "512 B", "1.5 KiB", "20 KiB"]);
        assert_eq!([12.0, 1500.0, 90_000.0, 7_200_000.0].map(millis), ["12 ms", "1.5 s", "1.5 min", "2 h"]);
        assert_eq!((percent(0.5), percent(0.123_456)), ("50 %".to_owned(), "12.3 %".to_owned()));
        assert_eq!((euros(250_000.0), euros(1234.0)), ("€ 0.25".to_owned(), "€ 0.0012".to_owned()));
        assert_eq!((short("abcdef", 4), short("abc", 4)), ("abc…".to_owned(), "abc".to_owned()));
    }
}
