//! The folder in which a page's commands are tried: small files under the names that the pages use. Knows the names and
//! the formats, not the pages.

use std::path::Path;

use crate::files::{idx, npy, npz};
use crate::place::Place;

/// A folder as a reader has it before the page's first command.
pub fn set(test: &str) -> Place {
    let place = Place::new(test);
    place.write("houses.csv", houses(0..200, true));
    place.write("test.csv", houses(200..240, true));
    place.write("new.csv", houses(240..250, false));
    place.write("run.toml", "[data]\nsource = \"houses.csv\"\ntarget = \"price\"\n");
    place.write("flowers.csv", flowers());
    place.write("boston_housing.csv", boston());
    place.write("arrays.npz", arrays());
    images(&place, "mnist");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).expect("the examples are there") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if name.ends_with(".toml") || name.ends_with(".csv") {
            place.write(&format!("examples/{name}"), std::fs::read(&path).expect("it can be read"));
        }
    }
    place
}

/// The n-th number of a fixed sequence without a pattern, from 0 to 1.
fn random(n: usize) -> f64 {
    let mixed = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f64 / (1 << 24) as f64
}

/// Numbers, a word, and missing values; a price that follows from them.
fn houses(rows: std::ops::Range<usize>, with_price: bool) -> String {
    let mut text = format!("area,rooms,town,built{}\n", if with_price { ",price" } else { "" });
    for i in rows {
        let draw = |k: usize| random(5 * i + k);
        let (area, rooms) = (40 + (180.0 * draw(0)) as usize, 1 + (6.0 * draw(1)) as usize);
        let (town, bonus) = [("Aachen", 60.0), ("Bonn", 110.0), ("Celle", 20.0)][(3.0 * draw(2)) as usize];
        let built = 1930 + (90.0 * draw(3)) as usize;
        let price = 1.9 * area as f64 + 12.0 * rooms as f64 + bonus + 0.6 * (built - 1930) as f64 + 20.0 * draw(4);
        let area = if i % 37 == 5 { String::new() } else { area.to_string() };
        text += &format!("{area},{rooms},{town},{built}");
        text += &if with_price { format!(",{price:.1}\n") } else { "\n".to_owned() };
    }
    text
}

/// Three kinds that two of four measures tell apart.
fn flowers() -> String {
    let mut text = "sepal_length,sepal_width,petal_length,petal_width,species\n".to_owned();
    for i in 0..150 {
        let draw = |k: usize, low: f64, high: f64| low + (high - low) * random(4 * i + k);
        let (name, size) = [("setosa", 1.0), ("versicolor", 4.0), ("virginica", 6.0)][i % 3];
        let (length, width) = (draw(2, size, size + 1.0), draw(3, size / 4.0, size / 4.0 + 0.4));
        text += &format!("{:.1},{:.1},{length:.1},{width:.1},{name}\n", draw(0, 4.5, 7.5), draw(1, 2.0, 4.0));
    }
    text
}

/// Thirteen features and a target by the names of the well-known table.
fn boston() -> String {
    let mut text = "crim,zn,indus,chas,nox,rm,age,dis,rad,tax,ptratio,b,lstat,medv\n".to_owned();
    for i in 0..120 {
        let cells: Vec<f64> = (0..13).map(|k| random(13 * i + k)).collect();
        let target = 20.0 + 10.0 * cells[5] - 8.0 * cells[12];
        cells.iter().for_each(|cell| text += &format!("{cell:.3},"));
        text += &format!("{target:.2}\n");
    }
    text
}

/// `x` [60, 3] and `y` [60] of f4, y = x₀ − x₁.
fn arrays() -> Vec<u8> {
    let x: Vec<f32> = (0..180).map(|i| random(i) as f32).collect();
    let y: Vec<f32> = x.chunks(3).map(|row| row[0] - row[1]).collect();
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    npz(&[("x.npy", npy("<f4", "(60, 3)", &bytes(&x))), ("y.npy", npy("<f4", "(60,)", &bytes(&y)))], false)
}

/// 28×28 images of ten classes, each with a bright row of its own, and a test set.
fn images(place: &Place, folder: &str) {
    for (part, count) in [("train", 200_usize), ("t10k", 50)] {
        let label = |i: usize| (i * 7 % 10) as u8;
        let pixel = |i: usize, p: usize| {
            let noise = (60.0 * random(784 * i + p)) as u8;
            if p / 28 == 4 + 2 * usize::from(label(i)) { 190 + noise } else { noise }
        };
        let pixels: Vec<u8> = (0..count).flat_map(|i| (0..784).map(move |p| pixel(i, p))).collect();
        let labels: Vec<u8> = (0..count).map(label).collect();
        place.write(&format!("{folder}/{part}-images-idx3-ubyte"), idx(0x803, &[count as u32, 28, 28], &pixels));
        place.write(&format!("{folder}/{part}-labels-idx1-ubyte"), idx(0x801, &[count as u32], &labels));
    }
}
