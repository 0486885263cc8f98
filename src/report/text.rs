//! Text for the page: whatever comes from data is escaped, and numbers are written for people.

use crate::plan;

/// Safe inside elements and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // HTML has no place for control characters.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// At most `most` characters; what is left out shows as `…`.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Four significant digits, thousands grouped; very large and small numbers with a power of ten.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() { "NaN".into() } else { if value > 0.0 { "∞" } else { "−∞" }.into() };
    }
    let size = value.abs();
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.3e}").replace('-', "−");
    }
    let decimals = (3 - size.log10().floor() as i64).clamp(0, 8) as usize;
    let text = grouped(&format!("{size:.decimals$}"));
    if value < 0.0 { format!("−{text}") } else { text }
}

/// As [`number`] without zeros at the end: for the ticks of an axis.
pub fn tick(value: f64) -> String {
    let size = value.abs();
    if size > 0.0 && !(1e-3..1e6).contains(&size) {
        return power(value);
    }
    let text = grouped(&rounded(size).to_string());
    if value < 0.0 { format!("−{text}") } else { text }
}

/// Five significant digits without zeros at the end: for values of single cells.
pub fn cell(value: f64) -> String {
    tick(format!("{value:.4e}").parse().unwrap_or(value))
}

/// With a power of ten, but for 0.
pub fn power(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{:e}", rounded(value)).replace('-', "−") }
}

/// Without the last digits, in which multiples of a step differ from what they stand for.
fn rounded(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

/// `1234.5` is `1,234.5`.
fn grouped(digits: &str) -> String {
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    whole.parse().map_or_else(|_| digits.to_owned(), |number| plan::grouped(number) + rest)
}

/// A share as a percentage with one decimal, escaped; one that is neither 0 nor 1 never reads as if it were.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1} %", 100.0 * share);
    match text.as_str() {
        "0.0 %" if share > 0.0 => "&lt; 0.1 %".into(),
        "100.0 %" if share < 1.0 => "&gt; 99.9 %".into(),
        _ => text,
    }
}

/// One thing, several things: `1 row`, `1,234 rows`.
pub fn count(number: usize, one: &str) -> String {
    let text = grouped(&number.to_string());
    if number == 1 { format!("{text} {one}") } else { format!("{text} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_users_cannot_become_markup() {
        assert_eq!(escape("<script>\"a\" & 'b'\u{0}"), "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd}");
        assert_eq!(shortened("grüße", 5), "grüße");
        assert_eq!(shortened("grüßen", 5), "grüß…");
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let numbers = [0.0, 0.97412, 12.0, 1234.56, -0.5, 123_456_789.0, 1e12, 2.5e-7, f64::NAN, f64::NEG_INFINITY];
        let wanted = ["0", "0.9741", "12.00", "1,235", "−0.5000", "123,456,789", "1.000e12", "2.500e−7", "NaN", "−∞"];
        assert_eq!(numbers.map(number), wanted);
        let ticks = [0.0, 0.1 + 0.2, 0.5, 100_000.0, 2e6, 1e-4, -2.5].map(tick);
        assert_eq!(ticks, ["0", "0.3", "0.5", "100,000", "2e6", "1e−4", "−2.5"]);
        assert_eq!([1.0, 49.999_999, 1234.567, 0.5].map(cell), ["1", "50", "1,234.6", "0.5"]);
        assert_eq!(
            [0.0, 1.0, 0.9999, 1e-9, 0.5].map(percent),
            ["0.0 %", "100.0 %", "&gt; 99.9 %", "&lt; 0.1 %", "50.0 %"]
        );
        assert_eq!([count(1, "row"), count(1000, "row")], ["1 row", "1,000 rows"]);
    }
}
