//! How much room is left.

use crate::StoreError;
use std::path::Path;

/// Bytes that a process without special rights may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let figures = rustix::fs::statvfs(path)
        .map_err(|error| StoreError::io("cannot ask for the free space of", path, &error.into()))?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_a_figure_and_a_missing_path_an_error_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        assert!(free_bytes(directory.path()).unwrap() > 0);
        let error = free_bytes(&directory.path().join("nothing-here")).unwrap_err();
        assert!(error.to_string().contains("nothing-here"), "{error}");
    }
}
