//! Reading PNG and JPEG files.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits};

use super::files::damaged;
use crate::TrainError;

/// Most pixels along a side of a picture that is read.
pub(super) const MOST_PIXELS: u32 = 1 << 15;

/// Decodes a picture; its kind is told by its first bytes, not by its name.
///
/// # Errors
/// [`TrainError::Io`], or [`TrainError::Format`] naming the file: no PNG and no JPEG, truncated, damaged, or more than 32768 pixels
/// on a side.
pub(super) fn decode(path: &Path) -> Result<DynamicImage, TrainError> {
    // A pipe or a device would be waited for without end.
    if path.exists() && !path.is_file() {
        return Err(damaged(path, "is no file: remove it from the folder"));
    }
    let file = File::open(path).map_err(TrainError::io("open", path))?;
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(TrainError::io("read", path))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(damaged(path, "is no PNG and no JPEG: remove it from the folder"));
    }
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_PIXELS), Some(MOST_PIXELS));
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        ImageError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => TrainError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        },
        other => {
            let text = other.to_string().lines().collect::<Vec<_>>().join(" ");
            damaged(path, &format!("is a broken picture: {text}"))
        }
    })
}
