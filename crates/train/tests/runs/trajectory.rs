//! The states of the reverse process that a run keeps, and how its page shows them.

use std::fs;

use ndarray::{Array1, Array4, ArrayD, Axis, Slice, array};
use report::npy::{Values, read, read_array, write_arrays, write_npz};

use crate::common::{Place, SMALL, alone, fails, names, ok};
use crate::page::{page, page_of};
use crate::small::{DIGITS, SERIES};

const TOY: &str = "[data]\nkind = \"toy-2d\"\n[net]\nkind = \"mlp\"\n";

/// An array of the file.
fn part(place: &Place, run: &str, name: &str) -> ArrayD<f64> {
    let path = place.path(run).join("trajectory.npz");
    read_array(&path, Some(name)).expect("readable").into_f64()
}

#[test]
fn the_way_begins_at_the_noise_ends_at_the_samples_and_changes_nothing() {
    let _alone = alone();
    let place = Place::new();
    let samplers = [
        ("heun", "steps = 4", 5),
        ("pc", "steps = 40", 9),
        ("ode", "method = \"dp5\"\nrtol = 1e-3\natol = 1e-3", 9),
        ("adaptive-sde", "", 9),
    ];
    for (kind, keys, states) in samplers {
        let sampler = format!("kind = \"{kind}\"\n{keys}\n");
        let config = SMALL.replace("kind = \"heun\"\nsteps = 4\n", &sampler);
        assert!(config.contains(&sampler));
        fs::write(place.path("small.toml"), config).expect("writable");
        ok(place.train(kind, &["--train.steps", "5", "--train.samples", "300"]));
        let x = part(&place, kind, "x");
        let samples = read(&place.path(kind).join("samples.npz"))
            .expect("readable")
            .into_f64();
        assert_eq!(x.shape(), [states, 256, 2], "{kind}");
        let last = x.index_axis(Axis(0), states - 1);
        assert_eq!(
            last,
            samples.slice_axis(Axis(0), Slice::from(..256)),
            "{kind}: to the bit"
        );

        // The noise of seed 3, as every program draws it, in the units of the data.
        let mut noise = vec![0.0_f32; 512];
        let draw = solvers::Draw {
            step: 0,
            purpose: solvers::Purpose::Prior,
        };
        solvers::noise::fill_rows_f32(3, draw, 0, 2, &mut noise);
        let config = train::config::load_file(&place.path(kind).join("config.toml"), &[]);
        let data = train::data::open(&config.expect("valid").config.data).expect("made-up data");
        let raw = noise.iter().map(|v| data.scaling().to_raw(f64::from(*v)) as f32);
        let raw: Vec<f64> = raw.map(f64::from).collect();
        assert_eq!(
            x.index_axis(Axis(0), 0).iter().copied().collect::<Vec<_>>(),
            raw,
            "{kind}"
        );

        let line = |name: &str| part(&place, kind, name).into_iter().collect::<Vec<f64>>();
        let (steps, times, sigmas) = (line("step"), line("t"), line("sigma"));
        assert_eq!((steps.len(), times.len(), sigmas.len()), (states, states, states));
        assert!(
            steps[0] == 0.0 && steps.windows(2).all(|pair| pair[0] < pair[1]),
            "{kind}: {steps:?}"
        );
        for falling in [&times, &sigmas] {
            let sorted = falling.windows(2).all(|pair| pair[0] >= pair[1]);
            assert!(sorted && falling[0] > falling[states - 1], "{kind}: {falling:?}");
        }
        let expected = read_array(&place.path(kind).join("trajectory.npz"), Some("x0"));
        match kind {
            "ode" | "adaptive-sde" => assert!(expected.is_err(), "{kind}: rows stand at times of their own"),
            _ => {
                let expected = expected.expect("readable").into_f64();
                assert_eq!(expected.shape(), x.shape());
                assert_eq!(expected.index_axis(Axis(0), states - 1), last, "{kind}");
            }
        }

        // A draw that nobody watches, and one that somebody does.
        let draw = [
            "sample",
            "--run",
            kind,
            "--threads",
            "1",
            "--n",
            "300",
            "--out",
            "drawn.npz",
        ];
        let bytes = |path: &str| fs::read(place.path(path)).expect("readable");
        for more in [&[][..], &["--trajectory", "way.npz"]] {
            ok(place.command(&[&draw[..], more].concat()));
            assert!(
                bytes("drawn.npz") == bytes(&format!("{kind}/samples.npz")),
                "{kind}"
            );
        }
        assert!(
            bytes("way.npz") == bytes(&format!("{kind}/trajectory.npz")),
            "{kind}"
        );
        assert!(page(&place, kind).contains("The first 256 samples on their way from the noise"));
    }
}

#[test]
fn an_old_run_gets_one_and_a_disk_that_fails_leaves_the_samples() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "5"]));
    let path = place.path("run/trajectory.npz");
    let whole = fs::read(&path).expect("readable");
    fs::remove_file(&path).expect("a file");
    assert!(page(&place, "run").contains("The run folder has no trajectory.npz"));
    ok(place.resume("run", &[]));
    assert!(fs::read(&path).expect("readable") == whole);

    fs::remove_file(&path).expect("a file");
    fs::create_dir(&path).expect("a folder in the way");
    let samples = fs::read(place.path("run/samples.npz")).expect("readable");
    let said = fails(place.resume("run", &[]), 1);
    assert!(said.contains("trajectory.npz"), "{said}");
    assert!(fs::read(place.path("run/samples.npz")).expect("readable") == samples);
    assert!(
        names(&place.path("run"))
            .iter()
            .all(|name| !name.ends_with(".tmp"))
    );
}

#[test]
fn images_and_series_keep_the_layout_of_their_samples() {
    let _alone = alone();
    let place = Place::new();
    for (run, text, figures) in [("digits", DIGITS, 2), ("series", SERIES, 6)] {
        fs::write(place.path("own.toml"), text).expect("writable");
        ok(place.command(&["train", "--config", "own.toml", "--out", run, "--threads", "1"]));
        let x = part(&place, run, "x");
        let samples = read(&place.path(run).join("samples.npz")).expect("readable");
        assert_eq!(x.shape()[..2], [3, 8]);
        assert_eq!(x.shape()[2..], samples.shape()[1..]);
        let levels = matches!(samples, Values::U8(_));
        assert_eq!(levels, run == "digits");
        let shown = samples.into_f64();
        for (x, sample) in x.index_axis(Axis(0), 2).iter().zip(&shown) {
            let byte = x.round().clamp(0.0, 255.0);
            assert_eq!(if levels { byte } else { *x }, *sample);
        }
        let html = page(&place, run);
        let section = &html[html.find("<h2>Reverse process").expect("a section")..];
        let section = &section[..section.find("</section>").expect("its end")];
        assert_eq!(section.matches("<figure>").count(), figures, "{run}");
        assert!(section.contains("<th scope=\"col\">sigma</th>") && !section.contains("NaN"));
    }
}

#[test]
fn a_file_that_does_not_fit_is_a_sentence_of_the_page() {
    let _alone = alone();
    let place = Place::new();
    let numbers = |from: f64| Values::F64(array![from, 0.5].into_dyn());
    let write = |x: Values, more: &[(&str, Values)]| {
        let arrays = [
            &[
                ("x", x),
                ("step", numbers(0.0)),
                ("t", numbers(1.0)),
                ("sigma", numbers(9.0)),
            ],
            more,
        ]
        .concat();
        write_arrays(&place.path("run/trajectory.npz"), &arrays).expect("writable");
    };
    let shown = || {
        let html = page_of(&place, "run", TOY);
        let start = html.find("<h2>Reverse process").expect("a section");
        html[start..start + html[start..].find("</section>").expect("its end")].to_owned()
    };
    assert!(shown().contains("sde train --resume RUN_DIR"));
    let x = |value: f32| {
        let mut x = ArrayD::from_shape_fn(vec![2, 20, 2], |at| (at[0] + at[1] * (1 + at[2])) as f32 / 9.0);
        x[[1, 3, 0]] = value;
        Values::F32(x)
    };
    write(x(0.25), &[]);
    assert!(shown().contains("<svg") && shown().contains("takes steps of its own"));
    write(x(0.25), &[("x0", x(0.75))]);
    let whole = shown();
    assert_eq!(whole.matches("<svg").count(), 2);
    assert_eq!(whole.matches(">sigma 0.5</text>").count(), 2);

    fs::write(place.path("run/trajectory.npz"), "no archive").expect("writable");
    assert!(shown().contains("The trajectory cannot be shown: run/trajectory.npz"));
    write_npz(
        &place.path("run/trajectory.npz"),
        &Array4::<f32>::zeros((1, 2, 3, 4)),
    )
    .expect("writable");
    assert!(shown().contains("no array named x; the archive holds arr_0"));
    for (x, more, said) in [
        (x(f32::NAN), vec![], "holds values that are not finite"),
        (
            x(0.0),
            vec![("x0", x(f32::INFINITY))],
            "holds values that are not finite",
        ),
        (
            x(0.0),
            vec![("x0", Values::F32(ArrayD::zeros(vec![2, 20, 3])))],
            "x0 has another shape than x",
        ),
        (
            Values::F32(ArrayD::zeros(vec![2, 20])),
            vec![],
            "x has the shape [2, 20]",
        ),
        (
            Values::F32(ArrayD::zeros(vec![2, 0, 2])),
            vec![],
            "x has the shape [2, 0, 2]",
        ),
        (
            Values::F32(ArrayD::zeros(vec![3, 4, 2])),
            vec![],
            "step has another number of states than x",
        ),
        (
            Values::F32(ArrayD::zeros(vec![70, 4, 2])),
            vec![],
            "x has the shape [70, 4, 2]",
        ),
    ] {
        write(x, &more);
        let html = shown();
        assert!(html.contains(said) && !html.contains("<figure"), "{said}: {html}");
    }

    // Of other samples than those in the folder: of other numbers, of another shape.
    write(x(0.25), &[]);
    let last = match x(0.25) {
        Values::F32(x) => x.index_axis(Axis(0), 1).to_owned(),
        _ => unreachable!(),
    };
    let samples = place.path("run/samples.npz");
    write_npz(&samples, &last).expect("writable");
    assert!(shown().contains("<svg"));
    write_npz(&samples, &last.mapv(|v| v + 1e-6)).expect("writable");
    assert!(shown().contains("does not end at the samples in samples.npz"));
    write_npz(&samples, &Array1::<f32>::zeros(20)).expect("writable");
    assert!(shown().contains("does not end at the samples in samples.npz"));
}
