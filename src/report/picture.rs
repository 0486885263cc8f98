//! Pictures inside the page: PNG as data URIs. Knows pixels only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Encoder};

use crate::data::Features;

/// Larger images are made smaller: a report is no gallery.
const MOST_PIXELS_ASIDE: usize = 96;

/// One image of a data set as a PNG; `brightest` becomes white. `None` for what is no image.
pub fn of_row(features: &Features, row: usize, brightest: u8) -> Option<Vec<u8>> {
    let Features::U8 { values, columns, height, width, .. } = features else { return None };
    let pixels = &values[row * columns..(row + 1) * columns];
    // Every n-th pixel of every n-th line.
    let every = height.max(width).div_ceil(MOST_PIXELS_ASIDE).max(1);
    let lines = pixels.chunks_exact(*width).step_by(every);
    let stretched = |&pixel: &u8| (u32::from(pixel) * 255 / u32::from(brightest.max(1))).min(255) as u8;
    let small: Vec<u8> = lines.flat_map(|line| line.iter().step_by(every).map(stretched)).collect();
    encode(width.div_ceil(every), height.div_ceil(every), ColorType::Grayscale, &small)
}

/// Shares (0…1, rows of one length) as one colour that is as opaque as the share is large: it fits light and dark.
pub fn of_shares(rows: &[Vec<f64>], [red, green, blue]: [u8; 3]) -> Option<Vec<u8>> {
    let opacity = |share: f64| if share > 0.0 { (40.0 + 215.0 * share.min(1.0)) as u8 } else { 0 };
    let pixels: Vec<u8> = rows.iter().flatten().flat_map(|&share| [red, green, blue, opacity(share)]).collect();
    encode(rows.first().map_or(0, Vec::len), rows.len(), ColorType::Rgba, &pixels)
}

fn encode(width: usize, height: usize, color: ColorType, pixels: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

/// As an image's `src`.
pub fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn an_image_keeps_its_pixels_and_its_brightest_is_white() {
        let features =
            Features::U8 { values: vec![9, 9, 0, 16, 8, 4], columns: 2, scale: 1.0, shift: 0.0, height: 1, width: 2 };
        assert_eq!(pixels(&of_row(&features, 1, 16).unwrap()), (2, 1, vec![0, 255]));
        assert_eq!(of_row(&Features::F32 { values: vec![1.0], columns: 1 }, 0, 1), None);
    }

    #[test]
    fn a_large_image_becomes_small() {
        let (height, width) = (200, 1000);
        let values = vec![1; height * width];
        let features = Features::U8 { values, columns: height * width, scale: 1.0, shift: 0.0, height, width };
        let (width, height, pixels) = pixels(&of_row(&features, 0, 1).unwrap());
        assert_eq!((width, height, pixels.len()), (91, 19, 91 * 19));
    }
}
