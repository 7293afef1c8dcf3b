//! `sde net`.

use std::path::Path;

use score_nets::given::Given;
use score_nets::{ModelCard, named_tensors, weights};
use serde::Serialize;
use tch::{Kind, Tensor};

use super::{print_json, set_up};
use crate::TrainError;
use crate::cli::{DONE, NetCommand, NetForwardArgs, NetInfoArgs, print_line};
use crate::log::ProgressReport;
use crate::model::OpenModel;

/// Describes or evaluates a network; the answer is the exit code.
///
/// # Errors
/// The model, the input or the output file is refused.
pub fn net(command: &NetCommand) -> Result<u8, TrainError> {
    match command {
        NetCommand::Info(args) => info(args),
        NetCommand::Forward(args) => forward(args),
    }
}

/// What `sde net info` says; one line of JSON.
#[derive(Debug, Serialize)]
struct NetSummary<'a> {
    /// The run folder or model folder.
    folder: &'a Path,
    /// Trained values.
    parameters: u64,
    /// Trained and fixed tensors.
    tensors: usize,
    /// What is known about it.
    card: &'a ModelCard,
}

fn info(args: &NetInfoArgs) -> Result<u8, TrainError> {
    let model = OpenModel::open(&args.place, tch::Device::Cpu)?;
    say(&model.notes);
    let summary = NetSummary {
        folder: &model.folder,
        parameters: model.parameters(),
        tensors: named_tensors(&model.vs).len(),
        card: &model.card,
    };
    if args.json {
        print_json(&summary)?;
        return Ok(DONE);
    }
    let file = model.card_file();
    let (sde, precond) = model.card.process(&file)?;
    print_line(&format!("folder      {}", summary.folder.display()))?;
    print_line(&format!(
        "parameters  {} in {} tensors",
        summary.parameters, summary.tensors
    ))?;
    let domain = sde.domain();
    for (what, t) in [("data", domain.sample_eps), ("noise", domain.t_end)] {
        let told = precond.coefs(t).time;
        print_line(&format!(
            "time input  {told:.6} at t = {t}, the end of the {what}"
        ))?;
    }
    print_line(model.card.to_toml(&file)?.trim_end())?;
    Ok(DONE)
}

fn say(notes: &[String]) {
    let progress = ProgressReport::new("net");
    for note in notes {
        progress.say(note);
    }
}

fn forward(args: &NetForwardArgs) -> Result<u8, TrainError> {
    set_up(args.machine.threads);
    let device = args.machine.device.resolve(0)?;
    let Input { x, time, given } = read_input(&args.input)?;
    let model = OpenModel::open(&args.place, device)?.in_precision(args.precision.precision)?;
    say(&model.notes);
    let refuse = |reason: String| TrainError::Format {
        path: args.input.clone(),
        reason,
    };
    let (have, need) = (x.size(), &model.card.data.shape);
    if have[1..] != need[..] {
        let rows = format!(
            "[rows, {}]",
            need.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
        );
        return Err(refuse(format!("tensor x: shape {have:?}, the model's is {rows}")));
    }
    let out = tch::no_grad(|| -> Result<Tensor, TrainError> {
        let place = TrainError::tensor("moving the input to the device");
        let (x, time) = (
            x.f_to_device(device).map_err(&place)?,
            time.f_to_device(device).map_err(&place)?,
        );
        Ok(model.net.forward_given(&x, &time, &given, false)?)
    })?;
    weights::save(&args.output, &[("out".to_owned(), out)])?;
    print_line(&format!("output: {}", args.output.display()))?;
    Ok(DONE)
}

/// What a network is asked.
struct Input {
    /// The rows, f32.
    x: Tensor,
    /// One time a row, f32.
    time: Tensor,
    /// The classes of the rows, where they are told.
    given: Given,
}

fn read_input(path: &Path) -> Result<Input, TrainError> {
    let refuse = |reason: String| TrainError::Format {
        path: path.to_path_buf(),
        reason,
    };
    let tensors = weights::read(path)?;
    if let Some((other, _)) = tensors
        .iter()
        .find(|(name, _)| !["x", "t", "y"].contains(&name.as_str()))
    {
        let reason = format!(
            "tensor {other}: sde net forward takes x, t (the network's own time input) and y (classes, if it takes them)"
        );
        return Err(refuse(reason));
    }
    let float = |name: &str| {
        let found = tensors.iter().find(|(known, _)| known == name);
        let (_, tensor) =
            found.ok_or_else(|| refuse(format!("holds no tensor {name}; x and t are needed")))?;
        match tensor.kind() {
            Kind::Bool => Err(refuse(format!("tensor {name}: bools, need numbers"))),
            _ => tensor
                .f_to_kind(Kind::Float)
                .map_err(TrainError::tensor("converting the input")),
        }
    };
    let (x, t) = (float("x")?, float("t")?);
    let rows = x.size().first().copied().unwrap_or(0);
    if rows < 1 {
        return Err(refuse(format!(
            "tensor x: shape {:?}, need one row or more",
            x.size()
        )));
    }
    let time = match t.size().as_slice() {
        [] | [1] => t.f_reshape([1]).and_then(|t| t.f_expand([rows], false)),
        [have] if *have == rows => Ok(t),
        other => {
            return Err(refuse(format!(
                "tensor t: shape {other:?}, need [{rows}], one time a row of x, or [] for all"
            )));
        }
    };
    let time = time.map_err(TrainError::tensor("spreading the time"))?;
    let given = match tensors.iter().find(|(name, _)| name == "y") {
        None => Given::default(),
        Some((_, y)) => {
            let whole = matches!(
                y.kind(),
                Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8
            );
            if !whole || y.size() != [rows] {
                let (kind, size) = (y.kind(), y.size());
                let reason = format!(
                    "tensor y: {kind:?} of shape {size:?}, need whole numbers [{rows}], one class a row"
                );
                return Err(refuse(reason));
            }
            let place = TrainError::tensor("reading the classes");
            let mut labels = vec![0_i64; y.numel()];
            let wide = y.f_to_kind(Kind::Int64).map_err(&place)?;
            wide.f_copy_data(&mut labels, y.numel()).map_err(&place)?;
            if let Some(label) = labels.iter().find(|&&label| label < -1) {
                return Err(refuse(format!(
                    "tensor y: class {label}, need 0 or more, or -1 for none"
                )));
            }
            Given::labels(&labels)?
        }
    };
    Ok(Input { x, time, given })
}
