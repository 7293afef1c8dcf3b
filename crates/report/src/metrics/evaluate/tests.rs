//! The whole evaluation.

use ndarray::{Array2, Axis, concatenate, s};

use crate::metrics::testing::{lattice, normals};
use crate::metrics::{
    Best, Evaluation, Options, Reference, class_entropy, density_coverage, energy_distance, evaluate,
    frechet_distance, mmd_rbf, nearest_neighbour_copies, one_nn_accuracy, precision_recall,
};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{a} against {b}");
}

/// The value of every metric that also has a function of its own.
#[test]
fn shared_distances_give_what_each_metric_gives_alone() {
    let x = normals(700, 5, 1) * 1.1 + 0.2;
    let y = normals(900, 5, 2);
    let labels: Vec<u32> = y
        .column(0)
        .iter()
        .map(|&v| u32::from(v > 0.0) + u32::from(v > 1.0))
        .collect();
    let data = Reference {
        labels: Some(&labels),
        ..Reference::new(y.view())
    };
    let all = evaluate(x.view(), &data, &Options::default()).expect("defined");
    let value = |name: &str| all.score(name).expect("a score").value;
    let (x, y) = (x.view(), y.view());
    near(
        value("frechet_distance"),
        frechet_distance(x, y).expect("defined"),
    );
    near(value("energy_distance"), energy_distance(x, y).expect("defined"));
    near(
        value("one_nn_accuracy"),
        one_nn_accuracy(x, y).expect("defined").accuracy,
    );
    near(
        value("class_entropy"),
        class_entropy(x, y, &labels).expect("defined").nats,
    );
    let note = &all.score("mmd2_rbf").expect("a score").note;
    let bandwidth: f64 = note
        .split([' ', ','])
        .find_map(|word| word.parse().ok())
        .expect("a number");
    near(
        value("mmd2_rbf"),
        mmd_rbf(x, y, bandwidth).expect("defined").value,
    );
    let balls = precision_recall(x, y, 3).expect("defined");
    near(value("precision"), balls.precision.value);
    near(value("recall"), balls.recall.value);
    let balls = density_coverage(x, y, 5).expect("defined");
    near(value("density"), balls.density.value);
    near(value("coverage"), balls.coverage.value);
    let copies = nearest_neighbour_copies(x, y, 0.0).expect("defined");
    assert_eq!(
        (copies.sample, copies.training),
        (all.copies.sample, all.copies.training)
    );
    near(all.copies.smallest, copies.smallest);
}

fn run(x: &Array2<f64>, y: &Array2<f64>, options: &Options) -> Evaluation {
    evaluate(x.view(), &Reference::new(y.view()), options).expect("defined")
}

#[test]
fn a_perfect_model_scores_like_the_floor() {
    let (x, y) = (normals(800, 4, 1), normals(800, 4, 2));
    let all = run(
        &x,
        &y,
        &Options {
            channels: Some(1),
            ..Options::default()
        },
    );
    assert_eq!(
        (all.samples, all.data, all.floor_samples, all.floor_data),
        (800, 800, 400, 400)
    );
    for score in &all.scores {
        assert!(
            score.value.is_finite() && score.matched.is_finite() && score.floor.is_finite(),
            "{score:?}"
        );
        // Up to twice the floor off it, and five standard errors where they are known.
        let error = score
            .floor_standard_error
            .unwrap_or(0.0)
            .hypot(score.standard_error.unwrap_or(0.0));
        let bound = 5.0 * error + 2.0 * score.floor.abs();
        let off = match score.best {
            Best::Nearest(best) => {
                (score.matched - score.floor).abs() - bound.min((best - score.floor).abs() + 5.0 * error)
            }
            _ => (score.matched - score.floor).abs() - bound,
        };
        assert!(off <= 0.0, "{score:?}");
    }
    // A worse model is worse in each.
    let worse = run(&(&x * 1.6 + 0.7), &y, &Options::default());
    for score in &worse.scores {
        let good = all.score(&score.name).expect("the same scores");
        assert_eq!(
            score.floor, good.floor,
            "the floor does not know the model: {}",
            score.name
        );
        let is_worse = match score.best {
            Best::Lower => score.value > good.value,
            Best::Higher => score.value < good.value,
            Best::Nearest(best) => (score.value - best).abs() > (good.value - best).abs(),
        };
        // A wider model covers all the data and copies nothing.
        assert!(
            is_worse || ["recall", "copy_rate"].contains(&score.name.as_str()),
            "{score:?} {good:?}"
        );
    }
}

#[test]
fn held_out_rows_make_the_floor() {
    let (x, y, held_out) = (normals(120, 3, 1), normals(90, 3, 2), normals(100, 3, 3));
    let data = Reference {
        held_out: Some(held_out.view()),
        ..Reference::new(y.view())
    };
    let all = evaluate(x.view(), &data, &Options::default()).expect("defined");
    assert_eq!(
        (all.samples, all.data, all.floor_samples, all.floor_data),
        (120, 90, 100, 90)
    );
    assert!(all.held_out);
    let energy = all.score("energy_distance").expect("a score");
    near(
        energy.value,
        energy_distance(x.view(), y.view()).expect("defined"),
    );
    near(
        energy.floor,
        energy_distance(held_out.view(), y.view()).expect("defined"),
    );
    assert!(energy.matched != energy.value);
    // Enough held-out rows: the sizes are equal, and nothing is computed twice.
    let many = normals(500, 3, 4);
    let data = Reference {
        held_out: Some(many.view()),
        ..Reference::new(y.view())
    };
    let all = evaluate(x.view(), &data, &Options::default()).expect("defined");
    assert_eq!((all.floor_samples, all.floor_data), (120, 90));
    assert!(all.scores.iter().all(|score| score.matched == score.value));
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_another_split_for_another_seed() {
    let (x, y) = (normals(700, 3, 1), lattice(900, 3, 2));
    let labels: Vec<u32> = (0..900).map(|i| i % 3).collect();
    let data = Reference {
        labels: Some(&labels),
        ..Reference::new(y.view())
    };
    let options = Options {
        channels: Some(1),
        ..Options::default()
    };
    let here = evaluate(x.view(), &data, &options).expect("defined");
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let there = pool
            .install(|| evaluate(x.view(), &data, &options))
            .expect("defined");
        assert_eq!(there, here);
    }
    let other = evaluate(x.view(), &data, &Options { seed: 1, ..options }).expect("defined");
    let floor = |all: &Evaluation| all.score("energy_distance").map(|score| score.floor);
    assert_ne!(floor(&other), floor(&here));
    let text = serde_json::to_string(&here).expect("all finite");
    assert_eq!(serde_json::from_str::<Evaluation>(&text).expect("the same"), here);
}

#[test]
fn copies_are_found_among_rows_beyond_the_limit_too() {
    let y = normals(400, 3, 1);
    // Sample 17 is data row 250; the rest of the first 40 are new.
    let mut x = normals(40, 3, 2);
    x.row_mut(17).assign(&y.row(250));
    let options = Options {
        max_rows: 60,
        ..Options::default()
    };
    let all = run(&x, &y, &options);
    assert_eq!((all.samples, all.data), (40, 60));
    assert_eq!(
        (
            all.copies.smallest,
            all.copies.sample,
            all.copies.training,
            all.copies.count
        ),
        (0.0, 17, 250, 1)
    );
    assert_eq!(all.score("copy_rate").expect("a score").value, 1.0 / 40.0);
    // A model that returns its data.
    let all = run(
        &y.select(Axis(0), &(0..200).collect::<Vec<_>>()),
        &y,
        &Options::default(),
    );
    assert_eq!(all.score("copy_rate").expect("a score").value, 1.0);
    assert_eq!(all.score("nearest_distance").expect("a score").value, 0.0);
    assert!(all.score("one_nn_accuracy").expect("a score").value < 0.4);
}

#[test]
fn digits_are_kept_far_from_the_origin_and_among_near_copies() {
    // The second set is the first, moved by 1e-6, at 1e6 from the origin, with rows of two scales.
    let mut x = normals(300, 4, 1);
    x.slice_mut(s![..150, ..]).mapv_inplace(|value| value * 1e-3);
    let x = x + 1e6;
    let y = concatenate![Axis(0), &x + 1e-6, normals(200, 4, 2) + 1e6];
    let all = run(&x, &y, &Options::default());
    let value = |name: &str| all.score(name).expect("a score").value;
    near(
        value("energy_distance"),
        energy_distance(x.view(), y.view()).expect("defined"),
    );
    near(
        value("one_nn_accuracy"),
        one_nn_accuracy(x.view(), y.view()).expect("defined").accuracy,
    );
    let copies = nearest_neighbour_copies(x.view(), y.view(), 0.0).expect("defined");
    assert!(
        (all.copies.smallest / copies.smallest - 1.0).abs() < 1e-3,
        "{} {}",
        all.copies.smallest,
        copies.smallest
    );
    // Samples that have all but collapsed, far from the data: what a matrix product leaves of their distances is rounding.
    let (x, y) = (normals(300, 4, 3) * 1e-6 + 1e5, normals(300, 4, 4));
    let energy = run(&x, &y, &Options::default())
        .score("energy_distance")
        .expect("a score")
        .value;
    near(energy, energy_distance(x.view(), y.view()).expect("defined"));
}

#[test]
fn a_collapsed_model_is_measured() {
    let y = normals(300, 3, 1);
    let labels: Vec<u32> = y.column(0).iter().map(|&v| u32::from(v > 0.0)).collect();
    let data = Reference {
        labels: Some(&labels),
        ..Reference::new(y.view())
    };
    let x = Array2::from_elem((200, 3), 0.1);
    let all = evaluate(
        x.view(),
        &data,
        &Options {
            channels: Some(1),
            ..Options::default()
        },
    )
    .expect("defined");
    let value = |name: &str| all.score(name).expect("a score").value;
    // The few data rows whose nearest other row is the one sample are told wrongly.
    assert!(value("one_nn_accuracy") > 0.98 && value("class_entropy") == 0.0);
    assert!(value("coverage") < 0.1 && value("recall") == 0.0 && value("c2st_accuracy") > 0.9);
    let data_share = labels.iter().filter(|&&label| label == 0).count() as f64 / 300.0;
    let apart = value("class_total_variation");
    assert!((apart - data_share).abs() < 1e-12 || (apart - 1.0 + data_share).abs() < 1e-12);
}
