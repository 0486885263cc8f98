//! The built-in data set `digits`: 8×8 grey images of handwritten digits, inside the binary.
//! Licence and origin are in `digits.LICENSE.md`. Knows nothing of files.

use super::images::Images;
use super::source::{self, Content, Raw};
use super::table::{Column, Values};
use crate::error::{Error, Result};

const FILE: &[u8] = include_bytes!("digits.csv.gz");
const SIDE: usize = 8;
/// The brightest grey level.
const BRIGHTEST: u8 = 16;

pub(super) fn read() -> Result<Raw> {
    let text = source::gunzip(FILE, "digits")?;
    let damaged = || Error::internal("the built-in digits are damaged");
    let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let fields: Vec<u8> =
            line.split(',').map(|field| field.parse::<u8>()).collect::<Result<_, _>>().map_err(|_| damaged())?;
        let [image @ .., label] = &fields[..] else { return Err(damaged()) };
        if image.len() != SIDE * SIDE {
            return Err(damaged());
        }
        pixels.extend_from_slice(image);
        labels.push(f64::from(*label));
    }
    let targets = vec![Column { name: "digit".into(), values: Values::Number(labels), float: false }];
    Ok(Raw {
        name: "digits".into(),
        source: "digits".into(),
        checksum: source::checksum(&[FILE]),
        content: Content::Images(Images {
            place: "digits".into(),
            values: pixels,
            stored: Vec::new(),
            height: SIDE,
            width: SIDE,
            brightest: BRIGHTEST,
            targets,
            test_from: None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_1797_images_of_17_grey_levels_and_10_classes() {
        let raw = read().unwrap();
        let Content::Images(images) = raw.content else { panic!("digits are images") };
        assert_eq!(images.values.len(), 1797 * 64);
        assert_eq!(images.values.iter().max(), Some(&16));
        // The first image is a zero; its first row is known from scikit-learn.
        assert_eq!(images.values[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        let Values::Number(labels) = &images.targets[0].values else { panic!("labels are numbers") };
        assert_eq!(labels[..3], [0.0, 1.0, 2.0]);
        assert_eq!(labels.len(), 1797);
        assert_eq!(raw.checksum, "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22");
    }
}
