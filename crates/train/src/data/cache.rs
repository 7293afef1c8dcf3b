//! The folder where fetched data sets lie.

use std::env;
use std::path::PathBuf;

use crate::TrainError;

/// `$SDE_CACHE`, or the folder `sde` in the user's cache folder.
///
/// # Errors
/// [`TrainError::Data`] where neither is known.
pub fn cache_folder() -> Result<PathBuf, TrainError> {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("SDE_CACHE") {
        return Ok(folder);
    }
    let user = if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Caches"))
    } else if cfg!(windows) {
        set("LOCALAPPDATA")
    } else {
        set("XDG_CACHE_HOME")
            .filter(|p| p.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
    };
    user.map(|folder| folder.join("sde"))
        .ok_or_else(|| TrainError::Data {
            name: "cache".to_string(),
            reason: "no HOME is set, so there is no cache folder; set SDE_CACHE to a folder".to_string(),
        })
}

/// Where a data set lies in the cache.
///
/// # Errors
/// As [`cache_folder`].
pub fn data_folder(name: &str) -> Result<PathBuf, TrainError> {
    Ok(cache_folder()?.join("data").join(name))
}
