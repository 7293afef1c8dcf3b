//! The whole evaluation.

use ndarray::Array2;

use crate::metrics::random::{Purpose, Random};
use crate::metrics::{
    Options, Reference, class_entropy, density_coverage, energy_distance, evaluate, frechet_distance,
    mmd_rbf, nearest_neighbour_copies, one_nn_accuracy, precision_recall,
};

fn normals(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut random = Random::new(seed, Purpose::Directions);
    Array2::from_shape_simple_fn((rows, columns), || random.normal())
}

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
