//! Charts as inline SVG: lines, points, bars. They take the page's colours, so that they follow light and dark, and
//! need no script. Knows numbers and names only.

use std::fmt::Write;

use super::scale::Scale;
use super::text::{escape, number};

/// In units of the view box, which the page scales to the width there is.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 250.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;
/// Left of the axis's labels, for its name.
const NAME: f64 = 26.0;
/// About the width of a digit.
const LETTER: f64 = 7.5;

/// A line more would look like one that is there.
pub const MOST_SERIES: usize = 6;

/// Points of one line, and bands that tell their numbers; more could not be told apart.
const MOST_POINTS: usize = 400;
const MOST_BANDS: usize = 120;
/// So few points of a line are also marked by dots.
const FEW_POINTS: usize = 30;

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    /// Which of the page's colours and dashes: the same thing looks the same in every chart.
    pub style: usize,
    /// x ascending; what is not finite leaves a gap.
    pub points: Vec<(f64, f64)>,
}

/// What every chart has. `id` is its anchor on the page and must differ from all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels<'a> {
    pub id: &'a str,
    pub title: &'a str,
    /// For who cannot see it: what there is to see.
    pub description: String,
    pub x: &'a str,
    pub y: &'a str,
}

/// Lines over epochs with the chosen epoch marked; `y` may become logarithmic where that suits the values.
pub fn lines(labels: &Labels<'_>, series: &[Series], chosen: Option<usize>, may_be_logarithmic: bool) -> String {
    let series = &series[..series.len().min(MOST_SERIES)];
    let values: Vec<f64> = series.iter().flat_map(|one| one.points.iter().map(|point| point.1)).collect();
    if !values.iter().any(|value| value.is_finite()) {
        return empty(labels, "no finite value was measured");
    }
    let last = series.iter().filter_map(|one| one.points.last()).map(|point| point.0).fold(1.0, f64::max);
    let x = Scale::whole(1, last as usize, 6);
    let y = if may_be_logarithmic { Scale::by_range(&values, 5) } else { Scale::linear(values, 5) };
    let frame = Frame::new(x, y);
    let mut body = frame.axes(labels);
    for one in series {
        body += &frame.path(one.style, &thinned(&one.points));
    }
    if let Some(chosen) = chosen {
        let at = frame.x(chosen as f64);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let _ = write!(body, "<line class=\"chosen\" x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>");
        let side = if frame.x.at(chosen as f64) > 0.75 { ("end", -4.0) } else { ("start", 4.0) };
        let _ = write!(
            body,
            "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">kept: epoch {chosen}</text>",
            at + side.1,
            if frame.is_busy_above(series, chosen) { bottom - 6.0 } else { top + 10.0 },
            side.0
        );
    }
    body += &frame.bands(series);
    figure(labels, &legend(labels.title, series), &body, frame.y.is_logarithmic())
}

/// One dot for each (actual, predicted); the diagonal is where they should be.
pub fn scatter(labels: &Labels<'_>, points: &[(f64, f64)]) -> String {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if finite.is_empty() {
        return empty(labels, "there is no finite prediction to show");
    }
    let both = Scale::linear(finite.iter().flat_map(|&(x, y)| [x, y]), 5);
    let frame = Frame::new(both.clone(), both);
    let mut body = frame.axes(labels);
    let (left, right, top, bottom) = (frame.left, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
    let _ = write!(body, "<line class=\"ideal\" x1=\"{left}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{top}\"/>");
    // A line of no length with round ends is a dot: far less text than a circle each.
    let mut path = String::new();
    let few = if finite.len() < 200 { " few" } else { "" };
    for (x, y) in finite {
        let _ = write!(path, "M{:.1} {:.1}h0", frame.x(x), frame.y(y));
    }
    let _ = write!(body, "<path class=\"dots{few}\" d=\"{path}\"/>");
    figure(labels, "", &body, false)
}

/// How often values fall where; a line marks 0.
pub fn histogram(labels: &Labels<'_>, values: &[f64]) -> String {
    const BINS: usize = 30;
    let mut finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if finite.is_empty() {
        return empty(labels, "there is no finite prediction to show");
    }
    finite.sort_by(f64::total_cmp);
    let x = Scale::linear([finite[0], finite[finite.len() - 1], 0.0], 6);
    let mut counts = [0_usize; BINS];
    finite.iter().for_each(|&value| counts[((x.at(value) * BINS as f64) as usize).min(BINS - 1)] += 1);
    let most = counts.iter().copied().max().unwrap_or(0);
    let y = Scale::linear([0.0, most as f64], if most < 5 { most } else { 5 });
    let frame = Frame::new(x, y);
    let mut body = frame.axes(labels);
    let width = (WIDTH - frame.left - RIGHT) / BINS as f64;
    let bounds = |bin: usize| {
        let (low, high) = (frame.x.ticks[0], frame.x.ticks[frame.x.ticks.len() - 1]);
        [bin, bin + 1].map(|edge| low + (high - low) * edge as f64 / BINS as f64)
    };
    for (bin, &rows) in counts.iter().enumerate().filter(|(_, rows)| **rows > 0) {
        let top = frame.y(rows as f64);
        let [from, to] = bounds(bin).map(number);
        let _ = write!(
            body,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{from} to {to}: {rows}</title></rect>",
            frame.left + bin as f64 * width + 0.5,
            width - 1.0,
            HEIGHT - BOTTOM - top
        );
    }
    let zero = frame.x(0.0);
    let (top, bottom) = (TOP, HEIGHT - BOTTOM);
    let _ = write!(body, "<line class=\"chosen\" x1=\"{zero:.1}\" y1=\"{top}\" x2=\"{zero:.1}\" y2=\"{bottom}\"/>");
    figure(labels, "", &body, false)
}

/// A stretch of text in place of a chart.
fn empty(labels: &Labels<'_>, why: &str) -> String {
    format!("<figure id=\"{}\"><figcaption>{}</figcaption><p>{why}</p></figure>", labels.id, escape(labels.title))
}

/// Every how many ticks there is room for a label.
fn crowding(labels: &[String], width: f64) -> usize {
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let room = width / labels.len().saturating_sub(1).max(1) as f64;
    (((longest as f64 + 2.0) * LETTER / room).ceil() as usize).max(1)
}

struct Frame {
    x: Scale,
    y: Scale,
    /// Where the y axis stands: its labels need room.
    left: f64,
}

impl Frame {
    fn new(x: Scale, y: Scale) -> Self {
        let longest = y.labels().iter().map(|label| label.chars().count()).max().unwrap_or(0);
        Frame { x, y, left: NAME + LETTER * longest as f64 }
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.x.at(value) * (WIDTH - self.left - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.at(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, labels: &Labels<'_>) -> String {
        let mut body = String::new();
        let (left, right, bottom) = (self.left, WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (&value, text) in self.y.ticks.iter().zip(self.y.labels()) {
            let y = self.y(value);
            let _ = write!(body, "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
            let _ = write!(body, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", left - 6.0, y + 4.0);
        }
        let texts = self.x.labels();
        let every = crowding(&texts, right - left);
        // Zero keeps its label.
        let kept = self.x.ticks.iter().position(|&tick| tick == 0.0).unwrap_or(0) % every;
        for (i, (&value, text)) in self.x.ticks.iter().zip(texts).enumerate().filter(|(i, _)| i % every == kept) {
            // The outer ones stay inside the picture.
            let anchor = if i + 1 == self.x.ticks.len() && text.len() > 4 { "end" } else { "middle" };
            let x = if anchor == "end" { self.x(value) + 8.0 } else { self.x(value) };
            let _ = write!(body, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{text}</text>", bottom + 16.0);
        }
        let _ = write!(body, "<line class=\"axis\" x1=\"{left}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\"/>");
        let middle = f64::midpoint(left, right);
        let (x, y) = (escape(labels.x), escape(labels.y));
        let _ = write!(
            body,
            "<text class=\"name\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
            HEIGHT - 6.0
        );
        let middle = f64::midpoint(TOP, bottom);
        let _ = write!(
            body,
            "<text class=\"name\" transform=\"translate(12 {middle}) rotate(-90)\" text-anchor=\"middle\">{y}</text>"
        );
        body
    }

    /// Whether the lines pass through the upper half at this epoch.
    fn is_busy_above(&self, series: &[Series], epoch: usize) -> bool {
        let places = series.iter().filter_map(|one| {
            let at = one.points.partition_point(|point| point.0 < epoch as f64);
            Some(self.y.at(one.points.get(at)?.1)).filter(|place| place.is_finite())
        });
        let (count, sum) = places.fold((0.0, 0.0), |(count, sum), place| (count + 1.0, sum + place));
        sum > 0.5 * count
    }

    /// A line with gaps; few points show as dots too.
    fn path(&self, style: usize, points: &[(f64, f64)]) -> String {
        let (mut path, mut dots, mut is_open) = (String::new(), String::new(), false);
        let style = style % MOST_SERIES;
        for &(x, y) in points {
            let is_there = y.is_finite() && !(self.y.is_logarithmic() && y <= 0.0);
            if is_there {
                let command = if is_open { 'L' } else { 'M' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(x), self.y(y));
                if !is_open {
                    // A point without neighbours would not show.
                    path.push_str("h0");
                }
                if points.len() <= FEW_POINTS {
                    let (x, y) = (self.x(x), self.y(y));
                    let _ = write!(dots, "<circle class=\"dot s{style}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>");
                }
            }
            is_open = is_there;
        }
        format!("<path class=\"line s{style}\" d=\"{path}\"/>{dots}")
    }

    /// Invisible columns that tell an epoch's numbers to who points at them.
    fn bands(&self, series: &[Series]) -> String {
        let Some(longest) = series.iter().max_by_key(|one| one.points.len()) else { return String::new() };
        let every = longest.points.len().div_ceil(MOST_BANDS).max(1);
        let places: Vec<f64> = longest.points.iter().step_by(every).map(|point| point.0).collect();
        let mut body = String::new();
        for (i, &place) in places.iter().enumerate() {
            let edge = |other: Option<&f64>, end: f64| other.map_or(end, |&other| self.x(f64::midpoint(place, other)));
            let left = edge(i.checked_sub(1).and_then(|before| places.get(before)), self.left);
            let right = edge(places.get(i + 1), WIDTH - RIGHT);
            let mut told = format!("epoch {place}");
            for one in series {
                let at = one.points.partition_point(|point| point.0 < place);
                if let Some((_, value)) = one.points.get(at).filter(|point| point.0 == place) {
                    let _ = write!(told, "\n{} {}", escape(&one.name), number(*value));
                }
            }
            let _ = write!(
                body,
                "<rect class=\"band\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{}\"><title>{told}</title></rect>",
                right - left,
                HEIGHT - TOP - BOTTOM
            );
        }
        body
    }
}

/// Each stretch of a long line by its first, lowest, highest and last point, so that no spike is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(MOST_POINTS + 4);
    for part in points.chunks(points.len().div_ceil(MOST_POINTS / 4)) {
        let by_height = |a: &usize, b: &usize| part[*a].1.total_cmp(&part[*b].1);
        let lowest = (0..part.len()).min_by(by_height).unwrap_or(0);
        let highest = (0..part.len()).max_by(by_height).unwrap_or(0);
        let mut places = [0, lowest, highest, part.len() - 1];
        places.sort_unstable();
        let mut last = None;
        for place in places {
            if last.replace(place) != Some(place) {
                kept.push(part[place]);
            }
        }
    }
    kept
}

fn legend(title: &str, series: &[Series]) -> String {
    if let [one] = series
        && one.name.eq_ignore_ascii_case(title)
    {
        return String::new();
    }
    let entry = |one: &Series| {
        let (style, name) = (one.style % MOST_SERIES, escape(&one.name));
        format!(
            "<li><svg width=\"26\" height=\"8\" aria-hidden=\"true\"><path class=\"line s{style}\" d=\"M1 4H25\"/></svg>{name}</li>"
        )
    };
    format!("<ul class=\"legend\">{}</ul>", series.iter().map(entry).collect::<String>())
}

fn figure(labels: &Labels<'_>, legend: &str, body: &str, is_logarithmic: bool) -> String {
    let Labels { id, title, description, .. } = labels;
    let (title, description) = (escape(title), escape(description));
    let scale = if is_logarithmic { " <small>(logarithmic)</small>" } else { "" };
    format!(
        "<figure id=\"{id}\"><figcaption>{title}{scale}</figcaption>{legend}\
         <svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\
         <title id=\"{id}-title\">{title}</title><desc id=\"{id}-text\">{description}</desc>{body}</svg></figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels<'static> {
        Labels { id: "c", title: "a < b", description: String::new(), x: "x", y: "y" }
    }

    #[test]
    fn a_line_has_gaps_where_numbers_are_missing_and_one_point_shows() {
        let series = |values: &[f64]| Series {
            name: "<s>".into(),
            style: 0,
            points: (1..).map(f64::from).zip(values.iter().copied()).collect(),
        };
        let chart = lines(&labels(), &[series(&[1.0, f64::NAN, 2.0])], Some(3), true);
        assert_eq!(chart.matches("h0").count(), 2, "{chart}");
        assert!(chart.contains("&lt;s&gt;") && !chart.contains("<s>") && chart.contains("kept: epoch 3"));
        assert!(lines(&labels(), &[series(&[5.0])], None, true).contains("h0"));
        let nothing = lines(&labels(), &[series(&[f64::NAN])], None, true);
        assert!(nothing.contains("no finite value") && !nothing.contains("NaN"), "{nothing}");
    }

    #[test]
    fn a_long_line_stays_short_and_keeps_its_spikes() {
        let mut points: Vec<(f64, f64)> = (1..=100_000).map(|x| (f64::from(x), 1.0)).collect();
        points[77_777].1 = 9.0;
        let kept = thinned(&points);
        assert!(kept.len() <= MOST_POINTS + 4, "{}", kept.len());
        assert!(kept.contains(&points[77_777]) && kept.contains(&points[99_999]) && kept.contains(&points[0]));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
        let chart = lines(&labels(), &[Series { name: "loss".into(), style: 1, points }], None, false);
        assert!(chart.len() < 60_000, "{}", chart.len());
    }

    #[test]
    fn every_value_is_in_a_bar_and_every_point_is_a_dot() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 100.0 - 3.0).collect();
        let chart = histogram(&labels(), &values);
        let counted: usize =
            chart.split("</title></rect>").filter_map(|bar| bar.rsplit(": ").next()?.parse::<usize>().ok()).sum();
        assert_eq!(counted, 1000);
        assert_eq!(scatter(&labels(), &[(1.0, 2.0), (f64::NAN, 1.0), (3.0, 3.0)]).matches("h0").count(), 2);
        assert!(scatter(&labels(), &[]).contains("no finite prediction"));
        assert!(histogram(&labels(), &[0.0, 0.0]).contains("class=\"bar\""));
    }
}
