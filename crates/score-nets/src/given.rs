//! What a network is told of each row besides the state and the time.

use tch::{Kind, Tensor};

use crate::NetError;

/// Conditions of a batch, one a row; empty where a network is told nothing.
#[derive(Debug, Default)]
pub struct Given {
    pub(crate) labels: Option<Labels>,
    pub(crate) vector: Option<Tensor>,
    pub(crate) image: Option<Tensor>,
    pub(crate) window: Option<Window>,
}

/// Classes, and the largest one as the host knows it.
#[derive(Debug)]
pub(crate) struct Labels {
    tensor: Tensor,
    largest: i64,
}

/// Where the rows of a batch lie in images or series that are larger than they are.
#[derive(Debug)]
pub struct Window {
    /// Where each row begins on each axis: top and left edge, `[rows, 2]`; in series `[rows, 1]`. Whole numbers.
    pub corners: Tensor,
    /// Height and width of the whole image, or the length of the whole series.
    pub whole: Vec<i64>,
}

impl Given {
    /// A class for each row, from 0; -1 for a row whose class is not told.
    ///
    /// # Errors
    /// When libtorch cannot allocate.
    pub fn labels(labels: &[i64]) -> Result<Self, NetError> {
        let labels = Labels {
            tensor: Tensor::f_from_slice(labels)?,
            largest: labels.iter().copied().max().unwrap_or(-1),
        };
        Ok(Given {
            labels: Some(labels),
            ..Given::default()
        })
    }

    /// With a vector for each row, `[rows, n]`.
    #[must_use]
    pub fn with_vector(self, vector: Tensor) -> Self {
        Given {
            vector: Some(vector),
            ..self
        }
    }

    /// With further channels for each row, `[rows, channels, ...]` with the sizes of the state.
    #[must_use]
    pub fn with_image(self, image: Tensor) -> Self {
        Given {
            image: Some(image),
            ..self
        }
    }

    /// With the places of the rows, which are windows of larger images.
    #[must_use]
    pub fn with_window(self, window: Window) -> Self {
        Given {
            window: Some(window),
            ..self
        }
    }

    /// The vectors.
    pub fn vector(&self) -> Option<&Tensor> {
        self.vector.as_ref()
    }

    /// The further channels.
    pub fn image(&self) -> Option<&Tensor> {
        self.image.as_ref()
    }

    /// The places.
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// The classes, checked against the number of classes that a network knows.
    ///
    /// # Errors
    /// [`NetError::Value`] for a class that it does not know.
    pub fn classes(&self, count: i64) -> Result<Option<&Tensor>, NetError> {
        match &self.labels {
            Some(labels) if labels.largest >= count => Err(NetError::Value {
                what: "class given to the network",
                value: labels.largest.to_string(),
                need: format!("a class from 0 to {}, or -1 for none", count - 1),
            }),
            labels => Ok(labels.as_ref().map(|labels| &labels.tensor)),
        }
    }

    /// Refuses what a network has no use for; `takes` names what it has: `labels`, `vector`, `image`, `window`.
    pub(crate) fn check_taken(&self, takes: &[&str]) -> Result<(), NetError> {
        let told = [
            ("labels", self.labels.is_some(), "net.classes"),
            ("vector", self.vector.is_some(), "net.condition_size"),
            ("image", self.image.is_some(), "net.condition_channels"),
            ("window", self.window.is_some(), "net.kind = \"patch\""),
        ];
        match told.iter().find(|(name, told, _)| *told && !takes.contains(name)) {
            Some((name, _, key)) => Err(NetError::Value {
                what: "condition given to the network",
                value: (*name).to_owned(),
                need: format!("a network that takes it ({key})"),
            }),
            None => Ok(()),
        }
    }

    /// The same tensors; what `over` tells takes the place of what stands here.
    #[must_use]
    pub fn overlaid(&self, over: &Given) -> Given {
        let labels = over.labels.as_ref().or(self.labels.as_ref());
        let pick =
            |a: &Option<Tensor>, b: &Option<Tensor>| a.as_ref().or(b.as_ref()).map(Tensor::shallow_clone);
        let window = over.window.as_ref().or(self.window.as_ref());
        Given {
            labels: labels.map(|labels| Labels {
                tensor: labels.tensor.shallow_clone(),
                largest: labels.largest,
            }),
            vector: pick(&over.vector, &self.vector),
            image: pick(&over.image, &self.image),
            window: window.map(|window| Window {
                corners: window.corners.shallow_clone(),
                whole: window.whole.clone(),
            }),
        }
    }

    /// What is told of the rows `first..first + len`.
    ///
    /// # Errors
    /// [`NetError::Torch`] where there are fewer rows.
    pub fn narrow(&self, first: i64, len: i64) -> Result<Given, NetError> {
        let part = |tensor: &Option<Tensor>| tensor.as_ref().map(|t| t.f_narrow(0, first, len)).transpose();
        let labels = self.labels.as_ref().map(|labels| {
            Ok::<_, NetError>(Labels {
                tensor: labels.tensor.f_narrow(0, first, len)?,
                largest: labels.largest,
            })
        });
        let window = self.window.as_ref().map(|window| {
            Ok::<_, NetError>(Window {
                corners: window.corners.f_narrow(0, first, len)?,
                whole: window.whole.clone(),
            })
        });
        Ok(Given {
            labels: labels.transpose()?,
            vector: part(&self.vector)?,
            image: part(&self.image)?,
            window: window.transpose()?,
        })
    }

    /// What is told of rows that stand in a batch `times` times, one copy of the batch after the other.
    pub(crate) fn repeated(&self, times: i64) -> Result<Given, NetError> {
        let repeat = |tensor: &Tensor| {
            let mut counts = vec![1; tensor.dim()];
            counts[0] = times;
            tensor.f_repeat(counts.as_slice())
        };
        Ok(Given {
            labels: match &self.labels {
                Some(labels) => Some(Labels {
                    tensor: repeat(&labels.tensor)?,
                    largest: labels.largest,
                }),
                None => None,
            },
            vector: self.vector.as_ref().map(repeat).transpose()?,
            image: None,
            window: None,
        })
    }
}

/// Refuses numbers of classes, values or channels that no network is told; 0 stands for none.
pub(crate) fn check_sizes(sizes: &[(&str, i64)]) -> Result<(), NetError> {
    match sizes.iter().find(|(_, value)| !(0..=65_536).contains(value)) {
        Some((key, value)) => Err(NetError::config(
            key,
            value,
            "give a whole number from 0 (none) to 65536",
        )),
        None => Ok(()),
    }
}

/// Appends channels to a batch: `[rows, a, ...]` and `[rows, b, ...]` to `[rows, a + b, ...]`.
pub(crate) fn append_channels(x: &Tensor, image: &Tensor, channels: i64) -> Result<Tensor, NetError> {
    let mut need = x.size();
    need[1] = channels;
    if image.size() != need {
        return Err(NetError::Shape {
            what: "image given to the network",
            got: image.size(),
            need: format!("{need:?}: net.condition_channels beside the state"),
        });
    }
    let image = image.f_to_kind(x.kind())?.f_to_device(x.device())?;
    Ok(Tensor::f_cat(&[x, &image], 1)?)
}

/// Classes on the device of the network, as a batch of so many rows.
pub(crate) fn rows_of(labels: &Tensor, rows: i64, device: tch::Device) -> Result<Tensor, NetError> {
    if labels.size() != [rows] {
        return Err(NetError::Shape {
            what: "classes given to the network",
            got: labels.size(),
            need: format!("[{rows}], one a row"),
        });
    }
    Ok(labels.f_to_kind(Kind::Int64)?.f_to_device(device)?)
}
