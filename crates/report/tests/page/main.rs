//! Pages, read back.

mod wellformed;

use std::fs;

use ndarray::Array4;
use report::Page;
use report::image::{GridOptions, grid_bytes};
use report::plot::{LineChart, ScatterChart, Series, curves, lines, scatter};
use wellformed::{check_self_contained, read};

const NASTY: &str = "</main><script src=\"x\">alert('&')</script>\u{0}\u{1b}[1m";

fn everything() -> Page {
    let chart = LineChart {
        title: NASTY.to_owned(),
        x_label: NASTY.to_owned(),
        y_label: NASTY.to_owned(),
        series: vec![
            Series::new(NASTY, vec![(0.0, 1.0), (1.0, 2.0)]),
            Series::new("b", vec![(0.5, 1.5)]),
        ],
        ..LineChart::default()
    };
    let dots = ScatterChart {
        title: NASTY.to_owned(),
        x_label: NASTY.to_owned(),
        y_label: NASTY.to_owned(),
        extents: [(-1.0, 1.0), (-1.0, 1.0)],
        points: vec![(0.0, 0.5), (7.0, 0.0)],
        colour: 1,
    };
    let images = Array4::from_shape_fn((5, 8, 8, 1), |(n, y, x, _)| (n * 40 + y * 3 + x) as u8);
    let png = grid_bytes(images.view(), &GridOptions::default()).expect("drawable");
    let series = ndarray::Array3::from_shape_fn((3, 2, 9), |(n, c, i)| (n + c + i) as f32);
    Page::new(NASTY)
        .text(NASTY)
        .numbers(&[(NASTY, NASTY.to_owned()), ("steps", "10".to_owned())])
        .section(NASTY)
        .figure_svg(NASTY, &lines(&chart).expect("drawable"))
        .figure_svg("dots", &scatter(&dots).expect("drawable"))
        .figure_svg(
            "cells",
            &curves(NASTY, series.view(), (0.0, 12.0)).expect("drawable"),
        )
        .figure_png(NASTY, &png)
        .text("between")
        .figure_png("not a picture", b"\x89PNG")
        .section("Tables")
        .table(&[NASTY, "b"], &[vec![NASTY.to_owned(), "2".to_owned()], vec![]])
        .code(NASTY)
}

#[test]
fn a_page_is_well_formed_whatever_its_text_says() {
    let html = everything().to_html();
    check_self_contained(&html);
    let (elements, text) = read(&html);
    let count = |name: &str| elements.iter().filter(|e| e.name == name).count();
    assert_eq!(
        ["section", "figure", "svg", "img", "table", "pre", "dt"].map(count),
        [2, 5, 3, 2, 1, 1, 2]
    );
    assert!(text.contains("alert(&#39;&amp;&#39;)") && !html.contains("<script"));
    let groups = elements
        .iter()
        .filter(|e| e.attributes.iter().any(|a| a.1 == "figures"));
    assert_eq!(groups.count(), 2, "text between figures parts them");
}

#[test]
fn an_empty_page_and_one_that_ends_in_figures_are_well_formed() {
    check_self_contained(&Page::new("").to_html());
    check_self_contained(&Page::new("a").figure_png("b", b"").to_html());
    check_self_contained(
        &Page::new("a")
            .section("b")
            .section("c")
            .numbers(&[])
            .table(&[], &[])
            .to_html(),
    );
}

#[test]
fn a_picture_states_its_size_and_its_bytes() {
    let images = Array4::from_elem((2, 8, 8, 3), 77_u8);
    let options = GridOptions {
        scale: Some(1),
        gap: Some(1),
        ..GridOptions::default()
    };
    let png = grid_bytes(images.view(), &options).expect("drawable");
    let (elements, _) = read(&Page::new("a").figure_png("b", &png).to_html());
    let img = elements.iter().find(|e| e.name == "img").expect("a picture");
    let value = |key: &str| img.attributes.iter().find(|a| a.0 == key).map(|a| a.1.as_str());
    assert_eq!(
        [value("width"), value("height"), value("alt")],
        [Some("19"), Some("10"), Some("b")]
    );
    let data = value("src")
        .and_then(|src| src.strip_prefix("data:image/png;base64,"))
        .expect("embedded");
    assert!(
        data.starts_with("iVBORw0KGgo"),
        "the signature of PNG: {data:.20}"
    );
    assert_eq!(data.len(), png.len().div_ceil(3) * 4);
}

#[test]
fn a_page_is_written_as_it_is_and_again_to_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("report.html");
    everything().write(&path).expect("writable");
    let first = fs::read(&path).expect("readable");
    assert_eq!(first, everything().to_html().as_bytes());
    everything().write(&path).expect("writable");
    assert_eq!(fs::read(&path).expect("readable"), first);
    assert_eq!(
        fs::read_dir(folder.path()).expect("a folder").count(),
        1,
        "no temporary file is left"
    );
    assert!(everything().write(&folder.path().join("no/report.html")).is_err());
}
