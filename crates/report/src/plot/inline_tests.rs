//! Charts for a page, and the contrast of their colours.

use super::*;
use crate::plot::Series;

#[test]
fn a_line_of_many_points_keeps_its_extremes_and_its_ends() {
    let points: Vec<(f64, f64)> = (0..100_000)
        .map(|i| {
            (
                f64::from(i) / 250.0,
                f64::from(i % 997) - f64::from(u8::from(i == 5_000)) * 5e3,
            )
        })
        .collect();
    let kept = thin(&points);
    assert!(kept.len() <= 4 * 801, "{}", kept.len());
    assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
    let extremes = |p: &[(f64, f64)]| {
        p.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v.1), h.max(v.1))
        })
    };
    assert_eq!(extremes(&kept), extremes(&points));
    assert!(kept.windows(2).all(|w| w[0].0 <= w[1].0), "in their order");
}

#[test]
fn few_points_are_marked_and_a_long_legend_takes_rows() {
    let series =
        |name: &str, n: u32| Series::new(name, (0..n).map(|i| (f64::from(i), f64::from(i * i))).collect());
    let name = "a name of about thirty letters";
    let mut chart = LineChart {
        series: vec![series(name, 10), series(name, 10), series(name, 100)],
        ..LineChart::default()
    };
    let svg = lines(&chart).expect("drawable").as_str().to_owned();
    assert_eq!(
        svg.matches("h0").count(),
        20,
        "a dot for each point of the short lines"
    );
    let rows: Vec<usize> = legend_rows(&[name; 3]).iter().map(Vec::len).collect();
    assert_eq!(rows, [1, 1, 1]);
    chart.series.truncate(1);
    assert!(
        !lines(&chart).expect("drawable").as_str().contains(name),
        "one line needs no legend"
    );
}

#[test]
fn what_cannot_be_drawn_is_an_error_and_extremes_are_drawn() {
    let chart = |points: &[(f64, f64)]| LineChart {
        series: vec![Series::new("a", points.to_vec())],
        ..LineChart::default()
    };
    for points in [&[][..], &[(0.0, f64::NAN)], &[(f64::INFINITY, 1.0)]] {
        assert!(matches!(lines(&chart(points)), Err(ReportError::Draw { .. })));
    }
    for points in [
        &[(0.0, 0.0)][..],
        &[(0.0, 1e250), (1.0, -1e250)],
        &[(1e15, 1.0), (1e15 + 1.0, 1.0)],
    ] {
        let svg = lines(&chart(points)).expect("drawable");
        assert!(
            !svg.as_str().contains("NaN") && !svg.as_str().contains("inf"),
            "{points:?}"
        );
    }
}

/// Relative luminance and contrast as in the Web Content Accessibility Guidelines 2.2.
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let byte = u8::from_str_radix(&colour[at..at + 2], 16).expect("hexadecimal");
        let value = f64::from(byte) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

#[test]
fn colours_stand_out_from_both_backgrounds() {
    for colour in COLOURS {
        for background in [crate::page::LIGHT, crate::page::DARK] {
            let (a, b) = (luminance(colour), luminance(background));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= 3.0, "{colour} on {background}: {contrast:.2}");
        }
    }
}
