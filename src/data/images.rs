//! Grey images with their labels, as IDX, NPZ and the built-in digits deliver them. Knows no format.

use std::sync::Arc;

use super::stored::Part;
use super::table::Column;
use crate::error::{Error, Result};

pub(super) struct Images {
    /// The file or folder, as the user named it.
    pub place: String,
    pub values: Vec<u8>,
    /// Where the pixels are instead, if they stay in their files.
    pub stored: Vec<Arc<Part>>,
    pub height: usize,
    pub width: usize,
    /// The largest value a pixel can have: unscaled images are divided by it.
    pub brightest: u8,
    /// Empty when the images came without labels.
    pub targets: Vec<Column>,
    /// The first row of a test set that the source itself sets apart.
    pub test_from: Option<usize>,
}

/// The sentence for images that no network takes.
pub(super) fn too_large(pixels: usize, place: &str) -> Error {
    let most = super::source::MOST_PIXELS;
    Error::data(format!("its images have {pixels} pixels each, {most} are the most"))
        .at(place)
        .remedy("scale them down")
}

impl Images {
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    pub fn rows(&self) -> usize {
        let stored: usize = self.stored.iter().map(|part| part.rows).sum();
        stored + self.values.len() / self.pixels().max(1)
    }

    /// Refuses a missing label.
    pub fn check_labels(&self) -> Result<()> {
        for column in &self.targets {
            if let Some(row) = (0..column.values.len()).find(|&row| column.values.is_missing(row)) {
                return Err(Error::data(format!("the target \"{}\" is missing for image {row}", column.name))
                    .at(&self.place)
                    .remedy("fill it in, or leave the image out"));
            }
        }
        Ok(())
    }
}
