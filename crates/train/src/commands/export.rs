//! `sde export`.

use score_nets::diffusers::{SampleSize, SchedulerConfig, write_folder};
use score_nets::{NetConfig, named_tensors};

use crate::TrainError;
use crate::cli::{DONE, ExportArgs, ExportTo, print_line};
use crate::log::ProgressReport;
use crate::model::{OpenModel, check_new};

/// Writes a model in the files of another program; the answer is the exit code.
///
/// # Errors
/// The model is refused, the other program has no such network, or the folder cannot be written.
pub fn export(args: &ExportArgs) -> Result<u8, TrainError> {
    check_new(&args.out)?;
    let model = OpenModel::open(&args.place, tch::Device::Cpu)?;
    let progress = ProgressReport::new("export");
    for note in &model.notes {
        progress.say(note);
    }
    match args.to {
        ExportTo::Diffusers => diffusers(args, &model)?,
    }
    print_line(&format!("folder: {}", args.out.display()))?;
    Ok(DONE)
}

fn diffusers(args: &ExportArgs, model: &OpenModel) -> Result<(), TrainError> {
    let NetConfig::DiffusersUnet2d(config) = &model.card.net else {
        return Err(TrainError::Format {
            path: model.card_file(),
            reason: "net.kind: the package diffusers has no such network; net.kind = \"diffusers-unet2d\" can be exported"
                .to_owned(),
        });
    };
    let card = &model.card;
    let scheduler = SchedulerConfig::from_card(card.betas.as_deref(), &card.sde, &card.precond)?;
    let mut config = config.clone();
    if let (None, &[_, height, width]) = (config.sample_size, &model.card.data.shape[..]) {
        config.sample_size = Some(SampleSize::Sides([height, width]));
    }
    write_folder(&args.out, &config, Some(&scheduler), &named_tensors(&model.vs))?;
    Ok(())
}
