//! Grey images with their labels, as IDX, NPZ and the built-in digits deliver them. Knows no format.

use super::table::Column;

pub(super) struct Images {
    /// The file or folder, as the user named it.
    pub place: String,
    pub values: Vec<u8>,
    pub height: usize,
    pub width: usize,
    /// The largest value a pixel can have: unscaled images are divided by it.
    pub brightest: u8,
    /// Empty when the images came without labels.
    pub targets: Vec<Column>,
    /// The first row of a test set that the source itself sets apart.
    pub test_from: Option<usize>,
}

impl Images {
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.pixels().max(1)
    }
}
