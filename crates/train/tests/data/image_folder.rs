//! Images of a folder.

use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use crate::{all_rows, open, refused};

fn table(path: &Path, more: &str) -> String {
    format!(
        "kind = 'image-folder'\npath = '{}'\nscaling = 'none'\n{more}",
        path.display()
    )
}

fn save(path: &Path, image: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
    image.into().save(path).expect("writes");
}

/// Red 10 x, green 10 y, blue `blue`.
fn ramp(width: u32, height: u32, blue: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([10 * x as u8, 10 * y as u8, blue]))
}

#[test]
fn folders_name_the_classes_and_paths_the_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    save(&here.join("b/1.png"), ramp(3, 2, 7));
    save(&here.join("a/x/2.PNG"), ramp(3, 2, 8));
    save(&here.join("a/1.png"), ramp(3, 2, 9));
    fs::write(here.join("a/notes.txt"), "no image").expect("writes");
    fs::write(here.join("a/.hidden.png"), "no image").expect("writes");
    let data = open(&table(here, "")).expect("sound");
    assert_eq!((data.len(), data.shape()), (3, &[3, 2, 3][..]));
    assert_eq!(data.labels(), Some(&[0, 0, 1][..]));
    let row = |blue: f32| {
        let planes = [
            [0.0, 10.0, 20.0, 0.0, 10.0, 20.0],
            [0.0, 0.0, 0.0, 10.0, 10.0, 10.0],
            [blue; 6],
        ];
        planes.concat()
    };
    assert_eq!(
        all_rows(data.as_ref(), 0),
        [row(9.0), row(8.0), row(7.0)].concat()
    );
    // An image beside the folders: no classes.
    save(&here.join("c.png"), ramp(3, 2, 1));
    assert_eq!(open(&table(here, "")).expect("sound").labels(), None);
    // Grey images, transparent ones on white, and JPEG.
    let other = here.join("other");
    save(&other.join("1.png"), GrayImage::from_pixel(8, 8, Luma([90])));
    save(
        &other.join("2.png"),
        RgbaImage::from_pixel(8, 8, Rgba([90, 90, 90, 0])),
    );
    save(
        &other.join("3.jpeg"),
        RgbImage::from_pixel(8, 8, Rgb([90, 90, 90])),
    );
    let values = all_rows(open(&table(&other, "channels = 1")).expect("sound").as_ref(), 0);
    let [grey, clear, jpeg] = [0, 1, 2].map(|k| &values[64 * k..64 * (k + 1)]);
    assert_eq!((grey, clear), (&[90.0; 64][..], &[255.0; 64][..]));
    assert!(jpeg.iter().all(|v| (v - 90.0).abs() <= 1.0), "{jpeg:?}");
}

/// Images are scaled until they cover their place; the middle is cut out, or a place drawn anew for every visit.
#[test]
fn one_size_for_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    save(&here.join("1.png"), ramp(10, 4, 0));
    save(
        &here.join("2.png"),
        RgbImage::from_pixel(9, 30, Rgb([50, 60, 70])),
    );
    let data = open(&table(here, "size = [4, 4]")).expect("sound");
    assert_eq!(data.shape(), [3, 4, 4]);
    let values = all_rows(data.as_ref(), 0);
    // Columns 3 to 6 of ten.
    assert_eq!(values[..4], [30.0, 40.0, 50.0, 60.0]);
    assert_eq!(values[16..21], [0.0, 0.0, 0.0, 0.0, 10.0]);
    assert!(
        values[48..]
            .chunks(16)
            .zip([50.0, 60.0, 70.0])
            .all(|(plane, v)| plane.iter().all(|x| *x == v))
    );
    let data = open(&table(here, "size = [4, 4]\ncrop = 'random'\nflip = true")).expect("sound");
    let mut seen = std::collections::BTreeSet::new();
    for epoch in 0..200 {
        let values = all_rows(data.as_ref(), epoch);
        assert_eq!(values, all_rows(data.as_ref(), epoch));
        let line: Vec<i32> = values[..4].iter().map(|v| *v as i32).collect();
        let step = line[1] - line[0];
        assert!(
            step.abs() == 10 && line.windows(2).all(|w| w[1] - w[0] == step),
            "{line:?}"
        );
        seen.insert(line);
    }
    // Seven places, two directions: one of 14 is missed in 200 visits with a chance below 1e-5.
    assert_eq!(seen.len(), 14, "{seen:?}");
}

#[test]
fn what_is_no_image_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    refused(&table(&here.join("none"), ""), &here.join("none"), "No such file");
    refused(&table(here, ""), here, "holds no .png, .jpg or .jpeg file");
    save(&here.join("1.png"), ramp(6, 6, 0));
    refused(&table(here, ""), here, "a single image");
    save(&here.join("2.png"), ramp(7, 6, 0));
    refused(
        &table(here, ""),
        &here.join("2.png"),
        "is 6 x 7 pixels, the first image 6 x 6",
    );
    let whole = fs::read(here.join("1.png")).expect("readable");
    fs::write(here.join("2.png"), &whole[..whole.len() / 2]).expect("writes");
    refused(&table(here, ""), &here.join("2.png"), "broken picture");
    fs::write(here.join("2.png"), b"GIF89a, not what it says").expect("writes");
    refused(&table(here, ""), &here.join("2.png"), "is no PNG and no JPEG");
    fs::write(here.join("2.png"), b"").expect("writes");
    refused(&table(here, ""), &here.join("2.png"), "is no PNG and no JPEG");
    for (key, reason) in [("size = [0, 4]", "data.size"), ("channels = 2", "data.channels")] {
        refused(&table(here, key), Path::new(reason), "need");
    }
}

/// A link to a folder above is passed over, so that every image comes once.
#[cfg(unix)]
#[test]
fn links_in_a_circle_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    for name in ["a/1.png", "a/2.png"] {
        save(&here.join(name), ramp(3, 2, 0));
    }
    std::os::unix::fs::symlink(here, here.join("a/back")).expect("links");
    assert_eq!(open(&table(here, "")).expect("sound").len(), 2);
}

/// A picture that would grow beyond all measure, and a pipe, which would be waited for without end.
#[test]
fn pictures_that_take_no_end_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    save(&here.join("1.png"), ramp(8, 8, 0));
    save(&here.join("2.png"), GrayImage::from_pixel(4000, 1, Luma([9])));
    let place = here.join("2.png");
    refused(
        &table(here, "size = [64, 64]"),
        &place,
        "is 1 x 4000 pixels; covering 64 x 64 would make it 64 x 256000",
    );
    assert!(open(&table(here, "size = [2, 2]")).is_ok());
    fs::remove_file(&place).expect("there");
    let made = std::process::Command::new("mkfifo").arg(&place).status();
    assert!(made.expect("a program of every Unix").success());
    refused(&table(here, ""), &place, "is no file");
}
