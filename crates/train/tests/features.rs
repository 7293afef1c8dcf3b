//! The network whose features scores compare: what it depends on, what it knows, and what it sees that pixels do not.

use ndarray::{Array2, Axis, concatenate, s};
use report::metrics::frechet_distance;
use solvers::Draw;
use solvers::noise::{Purpose, fill_rows_f32};
use train::data::{DigitsConfig, digits};
use train::evaluate::features::{CHANCE, FEATURES, FeatureNet};
use train::{Dataset, Visit};

const SHAPE: [i64; 3] = [1, 8, 8];
/// Rows that the network does not see.
const HELD_OUT: usize = 300;

/// The digits with values in [0, 1].
fn all() -> Array2<f32> {
    let set = digits(&DigitsConfig {
        dequantise: false,
        ..DigitsConfig::default()
    })
    .expect("they come with the program");
    let numbers: Vec<u64> = (0..set.len() as u64).collect();
    let mut values = vec![0.0; set.len() * 64];
    set.read(&numbers, Visit { seed: 0, epoch: 0 }, &mut values)
        .expect("rows");
    let raw = values
        .iter()
        .map(|v| (set.scaling().to_raw(f64::from(*v)) / 16.0) as f32);
    Array2::from_shape_vec((set.len(), 64), raw.collect()).expect("rows of 64")
}

fn normals(rows: usize, len: usize) -> Array2<f32> {
    let mut out = vec![0.0; rows * len];
    let draw = Draw {
        step: 7,
        purpose: Purpose::Data,
    };
    fill_rows_f32(1, draw, 0, len, &mut out);
    Array2::from_shape_vec((rows, len), out).expect("rows")
}

fn trained(rows: &Array2<f32>) -> FeatureNet {
    FeatureNet::train(rows.view(), &SHAPE).expect("trained")
}

/// The weights depend on the rows, and neither on the number of threads nor on what was drawn before.
#[test]
fn the_hash_is_that_of_the_rows() {
    let rows = all();
    let mut rows = rows.slice(s![..400, ..]).to_owned();
    tch::set_num_threads(1);
    let first = trained(&rows);
    assert_eq!(first.hash().len(), 64);
    tch::set_num_threads(2);
    let drawn = score_nets::seeded(99, || tch::Tensor::randn([1000], tch::kind::FLOAT_CPU));
    assert!(drawn.size() == [1000]);
    // The same rows in two pieces, put together.
    let pieces = concatenate![Axis(0), rows.slice(s![..150, ..]), rows.slice(s![150.., ..])];
    assert_eq!(trained(&pieces).hash(), first.hash());
    assert_eq!(tch::get_num_threads(), 2, "the caller's threads come back");
    tch::set_num_threads(1);
    rows[[17, 30]] += 1.0 / 255.0;
    assert_ne!(trained(&rows).hash(), first.hash());
}

#[test]
fn features_see_what_pixels_do_not() {
    tch::set_num_threads(1);
    let rows = all();
    let (held_out, train) = rows.view().split_at(Axis(0), HELD_OUT);
    let net = trained(&train.to_owned());

    // 1500 answers: a guesser's standard error is 0.01, so that 0.5 is thirty of them above chance.
    let accuracy = net.accuracy(held_out).expect("answers");
    assert!(accuracy > 0.5 && CHANCE == 0.2, "{accuracy}");

    // In pieces or not: by rounding alone another.
    let features = |rows: &Array2<f32>| net.features(rows.view()).expect("features");
    let held_out = held_out.to_owned();
    let of_held_out = features(&held_out);
    assert_eq!(of_held_out.dim(), (HELD_OUT, FEATURES));
    let pieces = [0..77, 77..HELD_OUT].map(|range| features(&held_out.slice(s![range, ..]).to_owned()));
    let pieces = concatenate![Axis(0), pieces[0], pieces[1]];
    let off = (&pieces - &of_held_out)
        .mapv(f32::abs)
        .fold(0.0, |a: f32, &b| a.max(b));
    let size = of_held_out.mapv(f32::abs).fold(0.0, |a: f32, &b| a.max(b));
    assert!(off <= 1e-5 * size, "{off} of {size}");

    let of_train = features(&train.to_owned());
    // Distances on features and on pixels.
    let distances = |rows: &Array2<f32>| {
        [
            frechet_distance(features(rows).view(), of_train.view()).expect("defined"),
            frechet_distance(rows.view(), train).expect("defined"),
        ]
    };
    let floor = distances(&held_out);
    let times = |rows: &Array2<f32>| {
        let found = distances(rows);
        [found[0] / floor[0], found[1] / floor[1]]
    };
    // The network has not learned its rows by heart. As many rows of the training set are nearer to the set than others on pixels,
    // since they are part of it; on features they may be twice as much nearer, no more.
    let [of_features, of_pixels] = times(&train.slice(s![..HELD_OUT, ..]).to_owned());
    assert!(
        of_features > 0.5 * of_pixels && of_features < 1.0,
        "{of_features} {of_pixels}"
    );
    // Normal rows with the mean and the covariance of the pixels: on pixels better than real ones.
    let mean = train.mean_axis(Axis(0)).expect("rows");
    let centred = &train - &mean;
    let gaussian =
        normals(HELD_OUT, train.nrows()).dot(&centred) / ((train.nrows() - 1) as f32).sqrt() + &mean;
    let [of_features, of_pixels] = times(&gaussian);
    assert!(of_features > 10.0 && of_pixels < 1.0, "{of_features} {of_pixels}");
    // A little noise, a tenth of the range.
    let [of_features, of_pixels] = times(&(&held_out + &(normals(HELD_OUT, 64) * 0.1)));
    assert!(of_features > 2.5 && of_pixels < 2.0, "{of_features} {of_pixels}");
    // Pixels in another order, the same for all rows.
    let permuted = held_out.select(Axis(1), &(0..64).map(|i| i * 37 % 64).collect::<Vec<_>>());
    let [of_features, of_pixels] = times(&permuted);
    assert!(
        of_features > 2.0 * of_pixels && of_pixels > 5.0,
        "{of_features} {of_pixels}"
    );
}

/// Shapes at the edge of what there is, and rows that have no scale: no failure, and every feature finite.
#[test]
fn every_shape_has_features() {
    tch::set_num_threads(1);
    for (shape, rows) in [
        (&[1, 1, 1][..], 3),
        (&[3, 17, 31], 5),
        (&[2, 1, 40], 70),
        (&[1, 300], 20),
        (&[4, 2], 1),
    ] {
        let len = shape.iter().product::<i64>() as usize;
        let data = normals(rows, len) * 1e3;
        let net = FeatureNet::train(data.view(), shape).expect("trained");
        let features = net.features(data.view()).expect("features");
        assert_eq!(features.dim(), (rows, FEATURES), "{shape:?}");
        assert!(features.iter().all(|value| value.is_finite()), "{shape:?}");
    }
    let constant = Array2::from_elem((10, 64), 0.5);
    let features = trained(&constant).features(constant.view()).expect("features");
    assert!(features.iter().all(|value| value.is_finite()));
    let refused = |rows: Array2<f32>, shape: &[i64]| {
        FeatureNet::train(rows.view(), shape)
            .expect_err("refused")
            .to_string()
    };
    for (rows, shape) in [
        (Array2::zeros((5, 64)), &[64][..]),
        (Array2::zeros((5, 63)), &SHAPE),
        (Array2::zeros((0, 64)), &SHAPE),
    ] {
        assert!(
            refused(rows, shape).contains("features need rows of the shape"),
            "{shape:?}"
        );
    }
}
