//! The preprocessing as ONNX nodes: raw columns in, encoded features `[N, features]` out.

use super::graph::{Builder, Setting};
use super::onnx::Element;
use crate::config::Missing;
use crate::data::{Coding, ColumnCoding, ImageCoding, Inputs, Preprocessing};

/// A feature whose values lie so far from 0, in units of their deviation, that 32-bit floats tell them apart badly.
const FAR: f64 = 1e3;

/// What the user should know of a feature or target (`what`) that is brought to or from a unit which 32-bit floats do not
/// hold; None if they do.
pub(super) fn beyond(what: &str, mean: f64, deviation: f64) -> Option<String> {
    let holds = (mean as f32).is_finite() && (deviation as f32).is_normal();
    (!holds).then(|| {
        format!(
            "the {what} lies at {mean:.2e} and varies by {deviation:.2e}, which is beyond the 32-bit floats of the ONNX \
             model: its answers are not to be trusted; give the {what} in another unit and train again"
        )
    })
}

/// Appends inputs and preprocessing; returns the features' name and what the user should know.
pub(super) fn append(graph: &mut Builder, preprocessing: &Preprocessing) -> (String, Vec<String>) {
    let mut warnings = Vec::new();
    let columns = match &preprocessing.inputs {
        Inputs::Image(image) => return (append_image(graph, image), warnings),
        Inputs::Columns(columns) => columns,
    };
    let fills = preprocessing.missing != Missing::Error;
    if is_array(columns) {
        let about =
            format!("the {} columns of the array x{}", columns.len(), if fills { "; NaN is missing" } else { "" });
        let x = graph.input("x", Element::Float, &[columns.len()], about);
        warnings.extend(columns.iter().filter_map(far));
        return (append_numbers(graph, &x, columns, fills), warnings);
    }
    let mut parts = Vec::new();
    let mut rest = &columns[..];
    while let Some(first) = rest.first() {
        // Neighbouring numbers are scaled together.
        let numbers = rest.iter().take_while(|column| matches!(column.coding, Coding::Number { .. })).count();
        let (these, after) = rest.split_at(numbers.max(1));
        rest = after;
        let names = these.iter().map(|column| input(graph, column, fills, &mut warnings)).collect::<Vec<_>>();
        parts.push(match &first.coding {
            Coding::Text { categories, fill } => append_words(graph, &names[0], categories, fill, fills),
            Coding::Number { .. } => {
                let joined = join(graph, &names);
                warnings.extend(these.iter().filter_map(far));
                append_numbers(graph, &joined, these, fills)
            }
        });
    }
    (join(graph, &parts), warnings)
}

/// `x_0`, `x_1`, … without a gap: the columns of an array, which is one input.
fn is_array(columns: &[ColumnCoding]) -> bool {
    let numbers = columns.iter().all(|column| matches!(column.coding, Coding::Number { .. }));
    numbers && columns.iter().enumerate().all(|(i, column)| column.name == format!("x_{i}"))
}

fn input(graph: &mut Builder, column: &ColumnCoding, fills: bool, warnings: &mut Vec<String>) -> String {
    let (element, about) = match (&column.coding, fills) {
        (Coding::Number { .. }, true) => (Element::Float, "a number; NaN is missing"),
        (Coding::Number { .. }, false) => (Element::Float, "a number"),
        (Coding::Text { .. }, true) => (Element::String, "text; \"\" is missing"),
        (Coding::Text { .. }, false) => (Element::String, "text"),
    };
    let name = graph.input(&column.name, element, &[1], about.into());
    if name != column.name {
        warnings.push(format!("the column \"{}\" is the input `{name}`: an output has its name", column.name));
    }
    name
}

fn far(column: &ColumnCoding) -> Option<String> {
    let Coding::Number { mean, deviation, fill } = column.coding else { return None };
    // The filling number is the mean, also where nothing is standardised.
    let beyond = beyond(&format!("column \"{}\"", column.name), fill, deviation);
    beyond.or_else(|| {
        (mean.abs() > FAR * deviation).then(|| {
        format!(
            "the column \"{}\" lies at {mean:.6e} and varies by {deviation:.2e} only: as 32-bit floats, which the ONNX \
             model takes, its values lose digits that matter; train on differences, such as years since 2000",
            column.name
        )
    })
    })
}

fn join(graph: &mut Builder, parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        several => {
            let several: Vec<&str> = several.iter().map(String::as_str).collect();
            graph.node("Concat", &several, &[("axis", Setting::Int(1))])
        }
    }
}

/// Fills and scales several columns at once.
fn append_numbers(graph: &mut Builder, x: &str, columns: &[ColumnCoding], fills: bool) -> String {
    let (mut fill, mut mean, mut deviation) = (Vec::new(), Vec::new(), Vec::new());
    for column in columns {
        if let Coding::Number { mean: m, deviation: d, fill: f } = column.coding {
            mean.push(m as f32);
            deviation.push(d as f32);
            fill.push(f as f32);
        }
    }
    let row = [1, columns.len()];
    let mut x = x.to_owned();
    if fills {
        let fill = graph.floats("wgrad/fill", &row, &fill);
        let missing = graph.node("IsNaN", &[&x], &[]);
        x = graph.node("Where", &[&missing, &fill, &x], &[]);
    }
    if mean.iter().all(|&mean| mean == 0.0) && deviation.iter().all(|&deviation| deviation == 1.0) {
        return x;
    }
    let mean = graph.floats("wgrad/mean", &row, &mean);
    let deviation = graph.floats("wgrad/deviation", &row, &deviation);
    let centred = graph.node("Sub", &[&x, &mean], &[]);
    graph.node("Div", &[&centred, &deviation], &[])
}

/// A 0/1 column for each category. The word becomes its number, "" that of the filling word, an unknown one -1; the
/// number becomes its column.
fn append_words(graph: &mut Builder, x: &str, categories: &[String], fill: &str, fills: bool) -> String {
    let mut keys: Vec<&str> = categories.iter().map(String::as_str).collect();
    let mut numbers: Vec<i64> = (0..categories.len() as i64).collect();
    if let Some(at) = categories.iter().position(|category| category == fill).filter(|_| fills) {
        keys.push("");
        numbers.push(at as i64);
    }
    let settings = [
        ("keys_strings", Setting::Strings(keys)),
        ("values_int64s", Setting::Ints(numbers)),
        ("default_int64", Setting::Int(-1)),
    ];
    let code = graph.ml_node("LabelEncoder", &[x], &settings);
    let settings = [("cats_int64s", Setting::Ints((0..categories.len() as i64).collect())), ("zeros", Setting::Int(1))];
    let hot = graph.ml_node("OneHotEncoder", &[&code], &settings);
    // [N, 1, categories]
    graph.node("Flatten", &[&hot], &[("axis", Setting::Int(1))])
}

fn append_image(graph: &mut Builder, image: &ImageCoding) -> String {
    let about = "grey levels as bytes, row by row".to_owned();
    let input = graph.input("image", Element::Uint8, &[image.height, image.width], about);
    let flat = graph.node("Flatten", &[&input], &[("axis", Setting::Int(1))]);
    let cast = graph.node("Cast", &[&flat], &[("to", Setting::Int(Element::Float as i64))]);
    let scale = graph.floats("wgrad/scale", &[], &[image.scale]);
    let shift = graph.floats("wgrad/shift", &[], &[image.shift]);
    let scaled = graph.node("Mul", &[&cast, &scale], &[]);
    graph.node("Add", &[&scaled, &shift], &[])
}
