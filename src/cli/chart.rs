//! A curve drawn with characters. Knows nothing of what it shows.

/// Columns and rows of the drawing itself.
const WIDTH: usize = 60;
const HEIGHT: usize = 12;

/// Draws y over the logarithm of x; `x` rises. A y above `top` is drawn at the upper edge. `mark` is an x to point at
/// from below.
pub(super) fn draw(points: &[(f64, f64)], top: f64, mark: Option<f64>) -> String {
    let (Some(&(first, _)), Some(&(last, _))) = (points.first(), points.last()) else { return String::new() };
    let bottom = points.iter().map(|(_, y)| *y).fold(top, f64::min);
    let column = |x: f64| {
        let share = (x / first).ln() / (last / first).ln();
        if share.is_finite() { ((share * (WIDTH - 1) as f64).round() as usize).min(WIDTH - 1) } else { 0 }
    };
    let row = |y: f64| {
        let share = (top - y.min(top)) / (top - bottom);
        if share.is_finite() { (share * (HEIGHT - 1) as f64).round() as usize } else { 0 }
    };
    let mut cells = vec![[' '; WIDTH]; HEIGHT];
    for &(x, y) in points {
        cells[row(y)][column(x)] = '*';
    }
    let mut text = String::new();
    for (i, cells) in cells.iter().enumerate() {
        let label = match i {
            0 => format!("{top:.4}"),
            _ if i == HEIGHT - 1 => format!("{bottom:.4}"),
            _ => String::new(),
        };
        let line: String = cells.iter().collect();
        text += &format!("{label:>10} |{}\n", line.trim_end());
    }
    text += &format!("{:>10} +{}\n", "", "-".repeat(WIDTH));
    if let Some(mark) = mark {
        text += &format!("{:>10}  {}^ {mark}\n", "", " ".repeat(column(mark)));
    }
    let (left, right) = (format!("{first:.0e}"), format!("{last:.0e}"));
    let gap = " ".repeat(WIDTH.saturating_sub(left.len() + right.len()));
    text + &format!("{:>10}  {left}{gap}{right}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_falls_from_the_upper_left_and_the_mark_stands_below_its_place() {
        let points: Vec<(f64, f64)> = (0..=10).map(|i| (10f64.powi(i - 5), 10.0 - f64::from(i))).collect();
        let text = draw(&points, 8.0, Some(1.0));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 3);
        // 10 and 9 lie above 8: all three are at the upper edge.
        assert!(lines[0].starts_with("    8.0000 |*") && lines[0].matches('*').count() == 3, "{text}");
        assert_eq!(lines[HEIGHT - 1].matches('*').count(), 1);
        assert!(lines[HEIGHT - 1].ends_with('*') && lines[HEIGHT - 1].len() == 12 + WIDTH, "{text}");
        let middle = lines[HEIGHT + 1].find('^').expect("a mark");
        assert!(middle == 12 + 29 || middle == 12 + 30, "{text}");
        assert!(lines[HEIGHT + 2].contains("1e-5") && lines[HEIGHT + 2].ends_with("1e5"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_flat_curve_or_a_single_point_is_drawn_too() {
        assert_eq!(draw(&[(1.0, 2.0), (2.0, 2.0)], 2.0, None).matches('*').count(), 2);
        assert_eq!(draw(&[(1.0, 2.0)], 2.0, None).matches('*').count(), 1);
        assert_eq!(draw(&[], 0.0, None), "");
    }
}
