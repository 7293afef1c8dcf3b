//! Grids of sample images as PNG.

use std::path::Path;

use ndarray::{ArrayView3, ArrayView4};

use crate::{ReportError, atomic};

/// The largest picture that is written, in bytes of raw pixels (1 GiB).
const MAX_BYTES: usize = 1 << 30;
/// Cells are enlarged until their longer side has about so many pixels.
const COMFORTABLE_CELL: usize = 48;
/// The grey between cells: neither black nor white, so that the border of either kind of image shows.
const GAP_VALUE: u8 = 128;

/// The layout of a grid. `GridOptions::default()` chooses everything from the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GridOptions {
    /// Cells in a row; default: as square as possible, wider than high.
    pub columns: Option<usize>,
    /// Pixels between cells and around the grid; default 2 + scale / 2.
    pub gap: Option<usize>,
    /// Each image pixel becomes a square of `scale` x `scale`; default: cells of about 48 pixels.
    pub scale: Option<usize>,
}

/// Draws `images`, `[n, height, width, channels]` bytes with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA)
/// channels, as one picture: cells in reading order, separated by a neutral grey, enlarged by a whole number
/// without interpolation. Written atomically.
///
/// # Errors
/// [`ReportError::Draw`] for an empty array, another channel count, zero columns or scale, a picture above
/// 1 GiB; [`ReportError::Io`] if it cannot be written.
pub fn grid_png(path: &Path, images: ArrayView4<'_, u8>, options: &GridOptions) -> Result<(), ReportError> {
    let bytes = grid_bytes(images, options)?;
    atomic::write_bytes(path, &bytes)
}

/// [`grid_png`] without a file: the bytes that would be in it.
///
/// # Errors
/// [`ReportError::Draw`] as there.
pub fn grid_bytes(images: ArrayView4<'_, u8>, options: &GridOptions) -> Result<Vec<u8>, ReportError> {
    let grid = Grid::new(images.dim(), options)?;
    let color = match grid.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    };
    let mut pixels = vec![GAP_VALUE; grid.bytes];
    if grid.channels.is_multiple_of(2) {
        pixels
            .iter_mut()
            .skip(grid.channels - 1)
            .step_by(grid.channels)
            .for_each(|alpha| *alpha = u8::MAX);
    }
    for (cell, image) in images.outer_iter().enumerate() {
        grid.paint(&mut pixels, cell, image);
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, grid.width, grid.height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let encoded = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels)?;
        writer.finish()
    });
    encoded.map_err(|error| ReportError::Draw {
        what: "an image grid",
        reason: error.to_string(),
    })?;
    Ok(bytes)
}

/// A layout whose sizes are known to fit.
struct Grid {
    columns: usize,
    gap: usize,
    scale: usize,
    cell: (usize, usize),
    channels: usize,
    width: u32,
    height: u32,
    bytes: usize,
}

impl Grid {
    fn new(
        (count, height, width, channels): (usize, usize, usize, usize),
        options: &GridOptions,
    ) -> Result<Self, ReportError> {
        let error = |reason: String| ReportError::Draw {
            what: "an image grid",
            reason,
        };
        if count == 0 || height == 0 || width == 0 {
            return Err(error(format!(
                "the array [{count}, {height}, {width}, {channels}] holds no pixels"
            )));
        }
        if !(1..=4).contains(&channels) {
            return Err(error(format!("{channels} channels; 1 to 4 can be drawn")));
        }
        let scale = options
            .scale
            .unwrap_or((COMFORTABLE_CELL / height.max(width)).max(1));
        let columns = options
            .columns
            .unwrap_or_else(|| square_columns(count))
            .min(count);
        let gap = options.gap.unwrap_or(2 + scale / 2);
        if scale == 0 || columns == 0 {
            return Err(error("columns and scale must be at least 1".to_owned()));
        }
        let extent = |cells: usize, size: usize| -> Option<u32> {
            let cell = size.checked_mul(scale)?.checked_add(gap)?;
            u32::try_from(cells.checked_mul(cell)?.checked_add(gap)?).ok()
        };
        let sizes = extent(columns, width).zip(extent(count.div_ceil(columns), height));
        let bytes = sizes.and_then(|(w, h)| (w as usize).checked_mul(h as usize)?.checked_mul(channels));
        match sizes.zip(bytes) {
            Some(((grid_width, grid_height), bytes)) if bytes <= MAX_BYTES => Ok(Self {
                columns,
                gap,
                scale,
                cell: (height, width),
                channels,
                width: grid_width,
                height: grid_height,
                bytes,
            }),
            _ => Err(error(format!(
                "{count} images of {height} x {width}, enlarged {scale} times, exceed 1 GiB; draw fewer"
            ))),
        }
    }

    /// Copies one image into its cell.
    fn paint(&self, pixels: &mut [u8], cell: usize, image: ArrayView3<'_, u8>) {
        let (height, width) = self.cell;
        let left = self.gap + (cell % self.columns) * (width * self.scale + self.gap);
        let top = self.gap + (cell / self.columns) * (height * self.scale + self.gap);
        for y in 0..height * self.scale {
            let start = ((top + y) * self.width as usize + left) * self.channels;
            let line = &mut pixels[start..start + width * self.scale * self.channels];
            for (x, pixel) in line.chunks_exact_mut(self.channels).enumerate() {
                for (channel, value) in pixel.iter_mut().enumerate() {
                    *value = image[[y / self.scale, x / self.scale, channel]];
                }
            }
        }
    }
}

/// The number of columns closest to a square, the divisor of `count` nearest above the root if one is near.
fn square_columns(count: usize) -> usize {
    let root = (count as f64).sqrt().ceil() as usize;
    (root..=root + root / 2)
        .find(|&columns| count.is_multiple_of(columns))
        .unwrap_or(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;
    use std::fs::File;
    use std::io::BufReader;

    fn decode(path: &Path) -> (png::OutputInfo, Vec<u8>) {
        let file = BufReader::new(File::open(path).expect("the file was written"));
        let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a small picture")];
        let info = reader.next_frame(&mut pixels).expect("a PNG");
        (info, pixels)
    }

    #[test]
    fn every_pixel_lands_where_the_layout_says() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("grid.png");
        for channels in 1..=4 {
            let images = Array4::from_shape_fn((5, 2, 3, channels), |(n, h, w, c)| {
                (n * 50 + h * 20 + w * 5 + c) as u8
            });
            let options = GridOptions {
                columns: Some(3),
                gap: Some(2),
                scale: Some(4),
            };
            grid_png(&path, images.view(), &options).expect("drawable");
            let (info, pixels) = decode(&path);
            assert_eq!((info.width, info.height), (3 * (12 + 2) + 2, 2 * (8 + 2) + 2));
            for y in 0..info.height as usize {
                for x in 0..info.width as usize {
                    let (column, row) = (x.wrapping_sub(2) / 14, y.wrapping_sub(2) / 10);
                    let (inside_x, inside_y) = (x.wrapping_sub(2) % 14, y.wrapping_sub(2) % 10);
                    let cell = row.wrapping_mul(3).wrapping_add(column);
                    let is_image = x >= 2 && y >= 2 && inside_x < 12 && inside_y < 8 && cell < 5;
                    for channel in 0..channels {
                        let value = pixels[(y * info.width as usize + x) * channels + channel];
                        let expected = if is_image {
                            images[[cell, inside_y / 4, inside_x / 4, channel]]
                        } else if channels % 2 == 0 && channel == channels - 1 {
                            255
                        } else {
                            GAP_VALUE
                        };
                        assert_eq!(
                            value, expected,
                            "channels {channels}, pixel ({x}, {y}), channel {channel}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn columns_are_near_square() {
        let expected = [
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 2),
            (10, 5),
            (12, 4),
            (64, 8),
            (100, 10),
            (7, 3),
            (1024, 32),
        ];
        for (count, columns) in expected {
            assert_eq!(square_columns(count), columns, "{count} images");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error_and_writes_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("grid.png");
        let draw = |shape, options| {
            let error = grid_png(&path, Array4::zeros(shape).view(), &options).expect_err("not drawable");
            assert!(matches!(error, ReportError::Draw { .. }), "{error:?}");
            assert!(!path.exists());
        };
        let default = GridOptions::default();
        draw((0, 8, 8, 1), default);
        draw((3, 0, 8, 1), default);
        draw((3, 8, 8, 0), default);
        draw((3, 8, 8, 5), default);
        draw(
            (3, 8, 8, 1),
            GridOptions {
                columns: Some(0),
                ..default
            },
        );
        draw(
            (3, 8, 8, 1),
            GridOptions {
                scale: Some(0),
                ..default
            },
        );
        draw(
            (3, 8, 8, 1),
            GridOptions {
                scale: Some(usize::MAX),
                ..default
            },
        );
        draw(
            (3, 8, 8, 1),
            GridOptions {
                gap: Some(1 << 20),
                ..default
            },
        );
    }

    #[test]
    fn one_image_and_large_images_are_drawn() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("grid.png");
        grid_png(&path, Array4::zeros((1, 8, 8, 1)).view(), &GridOptions::default()).expect("drawable");
        assert_eq!(decode(&path).0.width, 8 * 6 + 2 * 5);
        grid_png(
            &path,
            Array4::zeros((2, 300, 100, 3)).view(),
            &GridOptions::default(),
        )
        .expect("drawable");
        assert_eq!(
            (decode(&path).0.width, decode(&path).0.height),
            (2 * 100 + 3 * 2, 300 + 2 * 2)
        );
    }
}
