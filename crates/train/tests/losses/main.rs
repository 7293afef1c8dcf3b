//! Every loss against closed forms: gradients in expectation, second derivatives, what variance is taken out.

#![allow(clippy::print_stdout)]

mod control;
mod gradients;
mod learned;
mod linear;
mod second_order;
mod times;
