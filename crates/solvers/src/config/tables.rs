//! The keys that every kind has, written once, and the list of kinds.

use sde_core::Sde;
use sde_core::grid::{Grid, GridConfig};

use super::check::refuse;
use crate::SolveError;
use crate::sampler::Final;

/// Declares the table of one kind: the common keys, its own keys with their defaults, and what `build` asks of the common ones.
/// Serde's `flatten` would do the same, but refuses to go with `deny_unknown_fields`.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Intervals of the grid.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub steps: Option<usize>,
            /// Time at which the run starts; the SDE's `t_end`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub t_start: Option<f64>,
            /// Time at which the run ends; the SDE's `sample_eps`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub t_end: Option<f64>,
            /// The last act; `tweedie`.
            #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
            pub final_step: Option<crate::sampler::Final>,
            $($(#[$key_doc])* pub $key: $type,)*
            /// Clipping of the estimate of the clean data in every evaluation; `none`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub clip_x0: Option<crate::config::ClipConfig>,
            /// The grid; by default one that suits method and SDE.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub grid: Option<sde_core::grid::GridConfig>,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    steps: None,
                    t_start: None,
                    t_end: None,
                    final_step: None,
                    $($key: $default,)*
                    clip_x0: None,
                    grid: None,
                }
            }
        }

        impl $name {
            fn common(&self) -> $crate::config::tables::Common<'_> {
                $crate::config::tables::Common {
                    steps: self.steps,
                    t_start: self.t_start,
                    t_end: self.t_end,
                    final_step: self.final_step,
                    grid: self.grid.as_ref(),
                }
            }
        }
    };
}
pub(super) use table;

/// Declares [`SamplerConfig`](super::SamplerConfig) from the list of kinds. Each table has
/// `fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError>`.
macro_rules! kinds {
    ($(#[$doc:meta])* $enum:ident { $($(#[$kind_doc:meta])* $kind:ident($table:ident) = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind")]
        pub enum $enum {
            $($(#[$kind_doc])* #[serde(rename = $name)] $kind($table),)*
        }

        impl $enum {
            /// The names of all kinds, as `kind` takes them.
            pub const KINDS: &'static [&'static str] = &[$($name),*];

            /// The name of the kind.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)*
                }
            }

            /// Checks the table against an SDE and makes the sampler. The grid is that of this SDE; run the sampler with the same.
            ///
            /// # Errors
            /// [`SolveError::Config`] naming the dotted key.
            pub fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
                let (sampler, clip) = match self {
                    $(Self::$kind(table) => (table.build(sde)?, table.clip_x0),)*
                };
                $crate::config::clip::clipped(sampler, clip)
            }
        }

        $(impl From<$table> for $enum {
            fn from(table: $table) -> Self {
                Self::$kind(table)
            }
        })*
    };
}
pub(super) use kinds;

/// The keys that every kind has.
pub(super) struct Common<'a> {
    pub steps: Option<usize>,
    pub t_start: Option<f64>,
    pub t_end: Option<f64>,
    pub final_step: Option<Final>,
    pub grid: Option<&'a GridConfig>,
}

impl Common<'_> {
    /// Start and end time, the SDE's own where none are given.
    pub fn ends(&self, sde: &dyn Sde) -> (f64, f64) {
        let domain = sde.domain();
        (
            self.t_start.unwrap_or(domain.t_end),
            self.t_end.unwrap_or(domain.sample_eps),
        )
    }

    /// The grid: `usual` where none is given, with `usual_steps` where no number is given.
    pub fn grid(&self, sde: &dyn Sde, usual: GridConfig, usual_steps: usize) -> Result<Grid, SolveError> {
        let config = self.grid.unwrap_or(&usual);
        let steps = self.steps.or(config.own_steps()).unwrap_or(usual_steps);
        let (t_start, t_end) = self.ends(sde);
        if config.own_steps().is_some() {
            for (key, value) in [("t_start", self.t_start), ("t_end", self.t_end)] {
                if let Some(value) = value {
                    let reason = "a custom grid has its own ends; remove this key";
                    return Err(refuse(key, value, reason));
                }
            }
        }
        Ok(config.build(sde, steps, t_start, t_end)?)
    }

    /// The grid with true gaps, for methods that are not defined on the reference code's `dt = 1/N`.
    pub fn true_grid(
        &self,
        kind: &str,
        sde: &dyn Sde,
        usual: GridConfig,
        usual_steps: usize,
    ) -> Result<Grid, SolveError> {
        if self.is_song_compat() {
            let reason = format!("is for kind = \"pc\" only, {kind} needs true gaps");
            return Err(refuse("grid.kind", "song-compat", reason));
        }
        self.grid(sde, usual, usual_steps)
    }

    /// The ending: the reference code's grid comes with the reference code's ending.
    pub fn ending(&self) -> Final {
        self.final_step.unwrap_or(if self.is_song_compat() {
            Final::Mean
        } else {
            Final::default()
        })
    }

    fn is_song_compat(&self) -> bool {
        matches!(self.grid, Some(GridConfig::SongCompat {}))
    }
}
