//! How the samples compare with the data, where that was measured.

use std::path::Path;

use report::Page;

use super::{digits, two_digits};
use crate::evaluate::features::OwnFeatures;
use crate::evaluate::scores::{COLUMNS, Scores};

pub(super) fn add(page: Page, run_dir: &Path) -> Page {
    let scores = match Scores::read(run_dir) {
        Ok(Some(scores)) => scores,
        Ok(None) => return page,
        Err(error) => {
            let text = format!("The scores cannot be shown: {error}");
            return page.section("Scores").text(&text);
        }
    };
    let found = &scores.evaluation;
    let mut page = page
        .section("Scores")
        .text(&format!("{}.", scores.about()))
        .text(
            "The floor is what real rows get in the place of samples, a perfect model's score. Most scores depend on the number of rows: \
             the second column of figures, of as many samples as the floor has rows, is the one to hold against it. After ±: a standard error.",
        )
        .table(&COLUMNS, &scores.table(digits, two_digits));
    if let Some(features) = &scores.features {
        page = page.text(&format!("{}.", features_told(features)));
    }
    page = page.text(&format!(
        "The nearest that any sample comes to a training row is {}: sample {} and row {}.",
        digits(found.copies.smallest),
        found.copies.sample,
        found.copies.training
    ));
    let notes: Vec<Vec<String>> = (found.scores.iter())
        .filter(|score| !score.note.is_empty() || !score.unit.is_empty())
        .map(|score| {
            vec![
                score.name.replace('_', " "),
                unit(&score.unit, scores.images),
                score.note.clone(),
            ]
        })
        .collect();
    page.table(&["metric", "unit", "how"], &notes)
}

/// The data of images are values in [0, 1].
fn unit(unit: &str, images: bool) -> String {
    match images {
        true => unit.replace("data units", "values in [0, 1]"),
        false => unit.to_owned(),
    }
}

fn features_told(features: &OwnFeatures) -> String {
    match features {
        OwnFeatures::Network(facts) => format!(
            "{}. The network is the work of {} steps on the training rows (recipe {}); the SHA-256 of its weights is {}. Scores of other \
             hashes are of other networks",
            features.sentence(),
            facts.steps,
            facts.recipe,
            facts.hash
        ),
        OwnFeatures::LeftOut(_) => features.sentence(),
    }
}
