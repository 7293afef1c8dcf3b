//! Classes and vectors join the time embedding.

use tch::nn::Path;
use tch::{TchError, Tensor};

use super::Linear;
use super::basic::fan_average;
use crate::NetError;
use crate::given::{Given, rows_of};

/// `embedding + sqrt(classes) W e_label + V vector`, `e_label` the unit vector of the class and zero where none is told: as if a
/// network without classes were asked (Karras et al. 2022, arXiv:2206.00364, appendix F.1; label dropout of Ho and Salimans 2022,
/// arXiv:2207.12598).
#[derive(Debug)]
pub struct Condition {
    classes: Option<Tensor>,
    vector: Option<Linear>,
}

impl Condition {
    /// For so many classes and values of a vector, 0 for none, and an embedding of size `embed`. What is absent has no parameters.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn new(vs: &Path, classes: i64, vector: i64, embed: i64) -> Result<Self, TchError> {
        let dims = [classes, embed];
        let table = |vs: &Path| vs.f_var("weight", &dims, fan_average(&dims, 1.0));
        Ok(Condition {
            classes: (classes > 0).then(|| table(&(vs / "classes"))).transpose()?,
            vector: (vector > 0)
                .then(|| Linear::new(&(vs / "vector"), vector, embed, 1.0))
                .transpose()?,
        })
    }

    /// Number of trained parameters.
    pub fn param_count(classes: i64, vector: i64, embed: i64) -> u64 {
        let vector = if vector > 0 {
            Linear::param_count(vector, embed)
        } else {
            0
        };
        (classes * embed) as u64 + vector
    }

    /// Number of classes, 0 where the network takes none.
    pub fn classes(&self) -> i64 {
        self.classes.as_ref().map_or(0, |table| table.size()[0])
    }

    /// `embedding` is `[rows, embed]` or `[1, embed]`; the result `[rows, embed]` where something is told.
    ///
    /// # Errors
    /// [`NetError::Value`] for a class that the network does not know and for what it does not take, [`NetError::Shape`] for another number of rows, a vector of
    /// another length, or none where the network needs one.
    pub fn add(&self, embedding: Tensor, given: &Given, rows: i64) -> Result<Tensor, NetError> {
        let labels = if self.classes.is_some() { "labels" } else { "" };
        let vector = if self.vector.is_some() { "vector" } else { "" };
        given.check_taken(&[labels, vector, "image"])?;
        let mut sum = embedding;
        if let Some(table) = &self.classes
            && let Some(labels) = given.classes(table.size()[0])?
        {
            let labels = rows_of(labels, rows, table.device())?;
            let told = labels.f_ge(0)?.f_to_kind(table.kind())?.f_unsqueeze(1)?;
            let scale = told.f_mul_scalar((table.size()[0] as f64).sqrt())?;
            let rows = table.f_index_select(0, &labels.f_clamp_min(0)?)?;
            sum = sum.f_add(&rows.f_mul(&scale)?)?;
        }
        if let Some(linear) = &self.vector {
            let need = [rows, linear.input()];
            let got = given.vector().map_or_else(Vec::new, Tensor::size);
            let Some(vector) = given.vector().filter(|_| got == need) else {
                return Err(NetError::Shape {
                    what: "vector given to the network",
                    got,
                    need: format!("{need:?}: net.condition_size values a row"),
                });
            };
            let vector = vector.f_to_kind(sum.kind())?.f_to_device(sum.device())?;
            sum = sum.f_add(&linear.forward(&vector)?)?;
        }
        Ok(sum)
    }
}
