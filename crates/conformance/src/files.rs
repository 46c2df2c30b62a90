//! Which files to run.

use std::path::{Path, PathBuf};

/// All `.json` files at and below these paths, in order of name.
pub(crate) fn find(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        add(path, &mut found)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    Ok(found)
}

fn add(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        std::fs::metadata(path)?;
        found.push(path.to_owned());
        return Ok(());
    }
    let entries: std::io::Result<Vec<PathBuf>> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries?;
    entries.sort();
    for entry in entries {
        let is_test = entry.extension().is_some_and(|extension| extension == "json");
        if entry.is_dir() || is_test {
            add(&entry, found)?;
        }
    }
    Ok(())
}
