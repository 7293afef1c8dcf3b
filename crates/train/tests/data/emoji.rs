//! Emoji, as they lie in the cache.

use train::Dataset;
use train::data::{EmojiConfig, emoji};

use crate::all_rows;

/// Two pictures: one half covered by opaque red, one covered by a checkerboard of half opaque green.
#[test]
fn pictures_lie_on_their_ground() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("google-64.rgba");
    let red = (0..64 * 64).flat_map(|at| {
        if at % 64 < 32 {
            [200, 0, 0, 255]
        } else {
            [9, 9, 9, 0]
        }
    });
    let green = (0..64 * 64).flat_map(|at| {
        if (at / 64 + at) % 2 == 0 {
            [0, 100, 0, 51]
        } else {
            [0; 4]
        }
    });
    std::fs::write(&path, red.chain(green).collect::<Vec<u8>>()).expect("writes");
    let read = |config: EmojiConfig| emoji(&config).expect("sound");
    let config = |size, ground| EmojiConfig {
        path: Some(path.clone()),
        size,
        ground,
        scaling: train::data::ScalingKind::None,
        ..EmojiConfig::default()
    };
    let data = read(config(8, 255));
    assert_eq!((data.len(), data.shape()), (2, &[3, 8, 8][..]));
    let values = all_rows(&data, 0);
    assert_eq!(
        values[..8],
        [200.0, 200.0, 200.0, 200.0, 255.0, 255.0, 255.0, 255.0]
    );
    assert_eq!(values[64..72], [0.0, 0.0, 0.0, 0.0, 255.0, 255.0, 255.0, 255.0]);
    // Half of the pixels: green 0.2 x 100 + 0.8 x 255 = 224, red 204; the others are white.
    assert_eq!(
        (values[192], values[192 + 64]),
        (229.5_f32.round(), 239.5_f32.round())
    );
    let dark = all_rows(&read(config(64, 0)), 0);
    assert_eq!((dark[0], dark[63]), (200.0, 0.0));
    std::fs::write(&path, [0; 100]).expect("writes");
    let error = emoji(&config(8, 255)).expect_err("damaged").to_string();
    assert!(
        error.contains("google-64.rgba") && error.contains("100 bytes"),
        "{error}"
    );
}
