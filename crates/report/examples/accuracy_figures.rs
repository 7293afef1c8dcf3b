//! The figures of docs/ACCURACY.md: error against evaluations, from the lines of `lab accuracy --json`.
//!
//! ```sh
//! cargo run --release -p solvers --example lab -- accuracy --problem configs/lab/mixture_vp.toml \
//!     --steps 5,10,20,40,80,160,320 --stochastic-rows 400000 --json > accuracy.json
//! cargo run --release -p report --example accuracy_figures -- accuracy.json docs/figures
//! ```

use std::error::Error;
use std::path::PathBuf;

use report::plot::{LineChart, Series, line_svg};
use serde_json::Value;

/// Name, title and kinds of each figure; `true` for stochastic methods.
const FIGURES: [(&str, &str, bool, &[&str]); 6] = [
    (
        "runge_kutta",
        "Runge-Kutta methods on the probability flow",
        false,
        &["ode"],
    ),
    (
        "sigma",
        "Methods in sigma, DDIM, DEIS and iPNDM",
        false,
        &["euler", "heun", "dpm-2", "lms", "ddim", "deis", "ipndm"],
    ),
    ("dpm_solver", "DPM-Solver", false, &["dpm-solver"]),
    ("unipc", "UniPC, with corrector", false, &["unipc"]),
    (
        "predictor_corrector",
        "Predictors, correctors and Langevin",
        true,
        &["pc", "langevin"],
    ),
    (
        "stochastic",
        "Ancestral and SDE methods",
        true,
        &[
            "heun",
            "ddim",
            "euler-ancestral",
            "dpm-2-ancestral",
            "dpmpp-2s-ancestral",
            "dpmpp-sde",
            "dpmpp-2m-sde",
            "dpmpp-3m-sde",
            "adaptive-sde",
        ],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(lines), Some(folder), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: accuracy_figures FILE FOLDER".into());
    };
    let text = std::fs::read_to_string(lines)?;
    let rows = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    let mut shown = 0;
    for (name, title, stochastic, kinds) in FIGURES {
        let of_figure = |row: &&Value| {
            row["stochastic"] == stochastic && row["kind"].as_str().is_some_and(|kind| kinds.contains(&kind))
        };
        let series: Vec<Series> = rows.iter().filter(of_figure).map(series).collect();
        shown += series.len();
        let chart = LineChart {
            title: title.to_owned(),
            x_label: "evaluations of the score a row".to_owned(),
            y_label: match stochastic {
                true => "error of the whitened second moment",
                false => "error of the state [units of the data]",
            }
            .to_owned(),
            x_log: true,
            y_log: true,
            legend_below: true,
            series,
        };
        line_svg(&folder.join(name).with_extension("svg"), &chart)?;
    }
    if shown < rows.len() {
        return Err(format!("{} samplers are in no figure", rows.len() - shown).into());
    }
    Ok(())
}

fn series(row: &Value) -> Series {
    let list = |key: &str| row[key].as_array().cloned().unwrap_or_default();
    let points = list("nfe")
        .iter()
        .zip(&list("error"))
        .filter_map(|(nfe, error)| nfe.as_f64().zip(error.as_f64()))
        .collect();
    Series::new(row["sampler"].as_str().unwrap_or_default(), points)
}
