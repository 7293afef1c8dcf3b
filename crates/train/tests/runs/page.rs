//! The page of a run.

use std::fs;
use std::process::{Command, Stdio};

use ndarray::{Array2, Array3, Array4};
use report::npy::write_npz;

use crate::common::{Place, alone, fails, names, ok, wait_until};
use crate::wellformed::check_self_contained;

/// A run folder of which nothing but the configuration is there, and its page.
pub fn page_of(place: &Place, run: &str, config: &str) -> String {
    fs::create_dir_all(place.path(run)).expect("writable");
    fs::write(place.path(run).join("config.toml"), config).expect("writable");
    page(place, run)
}

pub fn page(place: &Place, run: &str) -> String {
    let said = ok(place.command(&["report", "--run", run])).stdout;
    let said = String::from_utf8(said).expect("text");
    assert_eq!(said, format!("report: {run}/report.html\n"));
    let html = fs::read_to_string(place.path(run).join("report.html")).expect("readable");
    check_self_contained(&html);
    html
}

#[test]
fn a_run_ends_with_its_page_and_the_command_writes_the_same() {
    let _alone = alone();
    let place = Place::new();
    // With a network that sees unit size, samples lie near the data after so few steps.
    let unit = ["--precond.kind", "edm", "--precond.sigma_data", "1.0"];
    let held_out = ["--train.holdout", "0.1", "--train.validate_every", "20"];
    ok(place.train("run", &[unit, held_out].concat()));
    let at_the_end = fs::read_to_string(place.path("run/report.html")).expect("readable");
    assert!(at_the_end.len() < 300_000, "{} bytes", at_the_end.len());
    for part in [
        "<h1>small</h1>",
        "<dt>steps</dt><dd>60</dd>",
        "<dt>images</dt><dd>3,840</dd>",
        "<dt>newest checkpoint</dt><dd>step 60</dd>",
        "<dt>loss on held-out rows</dt>",
        ">held-out rows, averaged weights</text>",
        "aria-label=\"learning rate over the steps\"",
        "aria-label=\"gradient norm over the steps\"",
        "<figcaption>16 samples</figcaption>",
        "<figcaption>16 rows of the data set toy-2d</figcaption>",
        ">log_snr = ln(mean_coef² / std²) (nats)</text>",
        "<td>network evaluations in all</td><td>9</td>",
        "hidden_size = 24",
        "<td>device</td><td>cpu</td>",
        "<td>threads of libtorch</td><td>1</td>",
    ] {
        assert!(at_the_end.contains(part), "{part} is missing");
    }
    // The weights and biases of all layers.
    let said = String::from_utf8(ok(place.train("dry", &["--dry-run"])).stderr).expect("text");
    let values = said
        .lines()
        .find_map(|line| line.strip_suffix(" trainable values"));
    let values: u64 = values
        .and_then(|v| v.trim().parse().ok())
        .expect("a line that counts them");
    let shown = format!("{},{:03}", values / 1000, values % 1000);
    assert!(
        at_the_end.contains(&format!("<dt>trainable values</dt><dd>{shown}</dd>")),
        "{values}"
    );

    let before = names(&place.path("run"));
    assert_eq!(page(&place, "run"), at_the_end);
    assert_eq!(page(&place, "run"), at_the_end);
    assert_eq!(names(&place.path("run")), before, "nothing else is written");

    // What is damaged or gone is said.
    fs::write(place.path("run/samples.npz"), "no archive").expect("writable");
    fs::write(place.path("run/checkpoints/step_00000060/net.safetensors"), "x").expect("writable");
    fs::write(place.path("run/metrics.jsonl"), b"\xff\xfe{}\n").expect("writable");
    fs::remove_file(place.path("run/environment.toml")).expect("a file");
    let damaged = page(&place, "run");
    for part in [
        "The samples cannot be shown: run/samples.npz",
        "Checkpoint step_00000060 is damaged",
        "<dd>step 50</dd>",
        "No metrics were written yet.",
        "does not say what the run was trained on",
    ] {
        assert!(damaged.contains(part), "{part} is missing");
    }
}

#[test]
fn a_run_that_has_nothing_yet_has_a_page() {
    let _alone = alone();
    let place = Place::new();
    for (run, config) in [
        ("vp", ""),
        ("ve", "[sde]\nkind = \"ve\"\n"),
        (
            "subvp",
            "[sde]\nkind = \"subvp\"\n[sampler]\nkind = \"ode\"\nmethod = \"dp5\"\nrtol = 1e-3\natol = 1e-3\n",
        ),
        (
            "edm",
            "[sde]\nkind = \"edm\"\n[data]\nkind = \"synthetic-1d\"\n[sampler]\nkind = \"heun\"\n",
        ),
    ] {
        let html = page_of(&place, run, config);
        for part in [
            "The run has no whole checkpoint yet.",
            "No metrics were written yet.",
            "No samples were drawn at the end of the run.",
            "rows of the data set",
            &format!("sde.kind = {run}:"),
            "<figcaption>Noise level at each step</figcaption>",
        ] {
            assert!(html.contains(part), "{run}: {part} is missing");
        }
    }
    let absent = "[data]\nkind = \"csv\"\npath = \"gone.csv\"\n[net]\nkind = \"unet1d\"\n";
    let html = page_of(&place, "absent", absent);
    assert!(html.contains("The data set cannot be shown:") && html.contains("gone.csv"));
}

#[test]
fn no_text_of_a_run_becomes_markup() {
    let _alone = alone();
    let place = Place::new();
    let name = "</title><script>alert('1 & 2')</script>";
    let html = page_of(&place, "run", &format!("name = \"{name}\" # <b>\n"));
    assert!(
        html.contains("&lt;script&gt;alert(&#39;1 &amp; 2&#39;)"),
        "{html:.2000}"
    );
    assert!(!html.contains("<script") && !html.contains("<b>"));
}

#[test]
fn samples_of_every_shape_stand_beside_the_data() {
    let _alone = alone();
    let place = Place::new();
    let sample = |run: &str| {
        fs::create_dir_all(place.path(run)).expect("writable");
        place.path(run).join("samples.npz")
    };
    let images = Array4::from_shape_fn((100, 8, 8, 1), |(n, y, x, _)| (n + 9 * y + x) as u8);
    write_npz(&sample("digits"), &images).expect("writable");
    let html = page_of(&place, "digits", "");
    // Samples and data, and again some samples and the training rows nearest to them.
    assert_eq!(html.matches("<img ").count(), 4);
    assert!(html.contains("64 of 100 samples") && html.contains("64 rows of the data set digits"));
    let sizes: Vec<&str> = html.match_indices("<img ").map(|(at, _)| &html[at..]).collect();
    let size = |tag: &str| {
        tag[tag.find("width=").expect("a width")..tag.find(" src=").expect("a source")].to_owned()
    };
    assert_eq!(size(sizes[0]), size(sizes[1]), "cells of one size");
    assert!(html.len() < 400_000, "{} bytes", html.len());

    let mut series = Array3::from_shape_fn((20, 1, 64), |(n, _, i)| (n as f32 + i as f32 / 9.0).sin());
    series[[0, 0, 5]] = f32::NAN;
    write_npz(&sample("series"), &series).expect("writable");
    let html = page_of(
        &place,
        "series",
        "[data]\nkind = \"synthetic-1d\"\n[net]\nkind = \"unet1d\"\n",
    );
    // 16 of each, and 12 samples with the 3 training rows nearest to each.
    assert_eq!(html.matches("<rect").count(), 32 + 48);
    assert!(html.contains("16 of 20 samples") && !html.contains("NaN"));

    let mut points = Array2::from_shape_fn((30, 2), |(n, d)| (n * (d + 1)) as f32 / 30.0);
    points[[3, 0]] = 1e9;
    write_npz(&sample("points"), &points).expect("writable");
    let toy = "[data]\nkind = \"toy-2d\"\n[net]\nkind = \"mlp\"\n";
    let html = page_of(&place, "points", toy);
    assert!(
        html.contains("<figcaption>30 samples</figcaption>")
            && html.contains("30 rows of the data set toy-2d")
    );
    assert!(
        html.contains("Points beyond the axes, which are those of the data: 1."),
        "{html:.3000}"
    );

    // A large picture: fewer and smaller cells, and a page that is still small.
    let noise = Array4::from_shape_fn((16, 256, 256, 3), |(n, y, x, c)| {
        (n * 7919 + y * 104_729 + x * 1_299_709 + c * 15_485_863)
            .wrapping_mul(2_654_435_761)
            .to_le_bytes()[3]
    });
    write_npz(&sample("large"), &noise).expect("writable");
    let html = page_of(&place, "large", "");
    assert!(html.contains("6 of 16 samples"));
    assert!(html.len() < 1_500_000, "{} bytes", html.len());
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let _alone = alone();
    let place = Place::new();
    fs::create_dir(place.path("empty")).expect("writable");
    fs::write(place.path("file"), "x").expect("writable");
    for (run, reason) in [
        ("empty", "empty: is no run folder: it has no config.toml"),
        ("nowhere", "nowhere: there is no such run folder"),
        ("file", "file: is a file, need a run folder"),
    ] {
        let said = fails(place.command(&["report", "--run", run]), 1);
        assert_eq!(said, format!("error: {reason}\n"));
    }
    assert!(names(&place.path("empty")).is_empty());
    fails(place.command(&["report"]), 2);
}

/// While it watches, the page asks browsers to come again and follows the metrics; what it leaves is the ordinary page.
#[cfg(unix)]
#[test]
fn a_watched_page_follows_the_run_until_it_is_told_to_stop() {
    let _alone = alone();
    let place = Place::new();
    ok(place.train("run", &["--train.steps", "20", "--train.samples", "0"]));
    let whole = page(&place, "run");
    let mut command = place.command(&["report", "--run", "run", "--watch", "--every", "1"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
    let shown = || fs::read_to_string(place.path("run/report.html")).expect("readable");
    let refresh = "<meta http-equiv=\"refresh\" content=\"1\"/>";
    wait_until("the first page", || shown().contains(refresh));
    check_self_contained(&shown());
    ok(place.resume("run", &["--train.steps", "40"]));
    wait_until("the longer run", || {
        let html = shown();
        html.contains(refresh) && html.contains("<dt>steps</dt><dd>40</dd>")
    });
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill starts").success());
    assert_eq!(child.wait().expect("still ours").code(), Some(0));
    // Without the text of two pages in the message.
    assert!(shown() == page(&place, "run"));
    assert!(!shown().contains("refresh") && shown() != whole);
}
