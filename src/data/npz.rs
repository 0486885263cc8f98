//! placeholder
use super::source::{Content, File};
use crate::error::{Error, Result};
pub(super) fn read(file: File) -> Result<Content> {
    Err(Error::data("not yet").at(file.place))
}
