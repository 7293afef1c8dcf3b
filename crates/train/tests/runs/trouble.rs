//! Training that goes wrong.

use std::fs;

use crate::common::{Place, alone, checkpoint_bytes, fails, ok};

#[test]
fn a_huge_learning_rate_is_an_error_that_keeps_the_last_good_checkpoint() {
    let _alone = alone();
    let place = Place::new();
    let huge = [
        "--optim.lr",
        "1e30",
        "--optim.warmup_images",
        "0",
        "--train.checkpoint_every",
        "1",
    ];
    let said = fails(place.train("fresh", &huge), 1);
    assert!(
        said.contains("learning rate") && said.contains("lower optim.lr"),
        "{said}"
    );
    assert!(
        place.checkpoints("fresh").is_empty(),
        "weights that give no finite loss are no checkpoint"
    );

    // A run that was well until somebody raised the rate.
    ok(place.train("run", &["--train.steps", "10", "--train.samples", "0"]));
    let good = checkpoint_bytes(&place.path("run"), 10);
    let path = place.path("run/config.toml");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("lr = 0.003", "lr = 1e30")).expect("writable");
    let said = fails(
        place.resume("run", &["--train.steps", "100", "--train.checkpoint_every", "1"]),
        1,
    );
    assert!(said.contains("step 10 is the last good one"), "{said}");
    assert_eq!(
        place
            .checkpoints("run")
            .iter()
            .map(|c| (c.0, c.1))
            .collect::<Vec<_>>(),
        [(10, true)]
    );
    assert_eq!(
        fs::read_to_string(place.path("run/checkpoints/latest")).expect("readable"),
        "step_00000010\n"
    );
    assert_eq!(checkpoint_bytes(&place.path("run"), 10), good);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let _alone = alone();
    let place = Place::new();
    fs::write(place.path("file"), "x").expect("writable");
    let said = fails(place.train("file/run", &[]), 1);
    assert!(said.contains("file/run"), "{said}");
}
