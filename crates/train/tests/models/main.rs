//! Models of other programs: import, description, evaluation, samples, through the program itself.

mod common;
mod diffusers;
mod likelihood;
mod net;
mod score_sde;
mod told;
