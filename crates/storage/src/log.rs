//! A file of records, appended to and now and then written anew: the consensus log, and the pool's journal.

use crate::{StoreError, record};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What a write must survive before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    Fsync,
    /// A killed process, not a power cut.
    Os,
}

/// A file of records. Only one may be open for a path at a time; the data directory's lock sees to it.
#[derive(Debug)]
pub struct RecordLog {
    path: PathBuf,
    file: File,
    length: u64,
    /// Set by a failure after which nobody can say what the file holds.
    broken: bool,
}

impl RecordLog {
    /// Opens or creates the file and gives its records. A torn last record, which a crash leaves, is cut off;
    /// the number of bytes cut is returned for the log. Damage before a readable record, and in a last record that
    /// was written whole, is an error: those records were promised to be durable.
    pub fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>, u64), StoreError> {
        let bytes = read_or_empty(path)?;
        let (records, valid) = record::decode_all(&bytes);
        let tail = bytes.get(valid..).unwrap_or_default();
        if record::contains_record(tail) {
            return Err(StoreError::damaged(format!(
                "{}: the record at byte {valid} cannot be read, but later ones can",
                path.display()
            )));
        }
        if record::is_damaged_whole(tail, valid) {
            return Err(StoreError::damaged(format!(
                "{}: the last record, at byte {valid}, was written whole and cannot be read now",
                path.display()
            )));
        }
        let log = Self::at(path, valid as u64)?;
        let cut_bytes = tail.len() as u64;
        if cut_bytes > 0 {
            log.file
                .set_len(log.length)
                .and_then(|()| log.file.sync_all())
                .map_err(|error| StoreError::io("cannot cut the torn end of", path, &error))?;
        }
        Ok((log, records, cut_bytes))
    }

    /// Opens a damaged file with all of its records that can be read, and answers how many bytes cannot: for a journal
    /// whose loss is bearable. The damaged file is kept beside it, its name ending in `.damaged`.
    pub fn salvage(path: &Path) -> Result<(Self, Vec<Vec<u8>>, u64), StoreError> {
        let bytes = read_or_empty(path)?;
        let (records, lost) = record::decode_around(&bytes);
        let mut name = path.as_os_str().to_owned();
        name.push(".damaged");
        write_anew(Path::new(&name), &bytes)?;
        let mut log = Self::at(path, bytes.len() as u64)?;
        log.rewrite(&records)?;
        Ok((log, records, lost as u64))
    }

    fn at(path: &Path, length: u64) -> Result<Self, StoreError> {
        let existed = path.exists();
        let file = open_append(path)?;
        if !existed {
            sync_directory(path)?;
        }
        Ok(Self { path: path.to_owned(), file, length, broken: false })
    }

    /// Appends one record and returns when it is as durable as asked. After an error the record is not in the
    /// log, or the log refuses everything from then on.
    pub fn append(&mut self, payload: &[u8], durability: Durability) -> Result<(), StoreError> {
        self.append_all(&[payload], durability)
    }

    /// Appends several records with one write and one sync.
    pub fn append_all<T: AsRef<[u8]>>(
        &mut self,
        payloads: &[T],
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.refuse_if_broken()?;
        let mut bytes = Vec::new();
        for payload in payloads {
            self.check_length(payload.as_ref())?;
            record::encode(payload.as_ref(), &mut bytes);
        }
        if let Err(error) = self.file.write_all(&bytes) {
            self.broken = self.file.set_len(self.length).is_err();
            return Err(StoreError::io("cannot write", &self.path, &error));
        }
        if durability == Durability::Fsync
            && let Err(error) = self.file.sync_data()
        {
            // The kernel may have dropped the pages: what the file holds now is unknown.
            self.broken = true;
            return Err(StoreError::io("cannot sync", &self.path, &error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Replaces the whole content: after a crash the file holds the old records or the new ones, never a
    /// mixture.
    pub fn rewrite<T: AsRef<[u8]>>(&mut self, records: &[T]) -> Result<(), StoreError> {
        self.refuse_if_broken()?;
        let mut bytes = Vec::new();
        for payload in records {
            self.check_length(payload.as_ref())?;
            record::encode(payload.as_ref(), &mut bytes);
        }
        write_anew(&self.path, &bytes)?;
        // From here on the open file is no longer the one under the name.
        self.broken = true;
        self.file = open_append(&self.path)?;
        self.length = bytes.len() as u64;
        self.broken = false;
        Ok(())
    }

    /// Length of the file in bytes.
    pub fn length_bytes(&self) -> u64 {
        self.length
    }

    fn refuse_if_broken(&self) -> Result<(), StoreError> {
        match self.broken {
            true => Err(StoreError::Unavailable(format!(
                "{} failed before and may hold anything; restart the node",
                self.path.display()
            ))),
            false => Ok(()),
        }
    }

    fn check_length(&self, payload: &[u8]) -> Result<(), StoreError> {
        if payload.len() <= record::MAX_RECORD_BYTES {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{}: a record of {} bytes is too long",
            self.path.display(),
            payload.len()
        )))
    }
}

fn read_or_empty(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_end(&mut bytes).map_err(|error| StoreError::io("cannot read", path, &error))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io("cannot open", path, &error)),
    }
    Ok(bytes)
}

fn open_append(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| StoreError::io("cannot open", path, &error))
}

/// Writes a new file beside the old one and renames it over.
fn write_anew(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    written.map_err(|error| StoreError::io("cannot write", &beside, &error))?;
    sync_directory(path)
}

/// Makes a created or renamed file's name durable.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io("cannot sync the directory", directory, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopen(path: &Path) -> (Vec<Vec<u8>>, u64) {
        let (_, records, cut) = RecordLog::open(path).unwrap();
        (records, cut)
    }

    #[test]
    fn appends_survive_and_a_torn_end_is_cut_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consensus.log");
        let (mut log, records, cut) = RecordLog::open(&path).unwrap();
        assert!(records.is_empty() && cut == 0);
        log.append(b"one", Durability::Fsync).unwrap();
        log.append(b"two", Durability::Os).unwrap();
        assert_eq!(log.length_bytes(), 22);
        drop(log);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(21).unwrap();
        assert_eq!(reopen(&path), (vec![b"one".to_vec()], 10));
        let (mut log, _, cut) = RecordLog::open(&path).unwrap();
        assert_eq!(cut, 0);
        log.append(b"three", Durability::Fsync).unwrap();
        assert_eq!(reopen(&path).0, vec![b"one".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn damage_in_the_middle_is_refused_and_a_journal_can_start_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consensus.log");
        let (mut log, ..) = RecordLog::open(&path).unwrap();
        log.append_all(&[&b"one"[..], b"two", b"three"], Durability::Fsync).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for place in 0..22 {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let error = RecordLog::open(&path).unwrap_err();
            assert!(matches!(&error, StoreError::Damaged(text) if text.contains("consensus.log")), "{error}");
        }
        for place in 22..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            assert!(RecordLog::open(&path).is_err(), "byte {place}");
        }
        let (_, records, lost) = RecordLog::salvage(&path).unwrap();
        assert_eq!((&records[..], lost), (&[b"one".to_vec(), b"two".to_vec()][..], 13));
        assert_eq!(reopen(&path), (records, 0));
        assert!(directory.path().join("consensus.log.damaged").exists());
    }

    #[test]
    fn rewrite_replaces_and_appends_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("consensus.log");
        let (mut log, ..) = RecordLog::open(&path).unwrap();
        log.append(b"old", Durability::Fsync).unwrap();
        log.rewrite(&[b"new".to_vec(), b"er".to_vec()]).unwrap();
        log.append(b"more", Durability::Os).unwrap();
        assert_eq!(reopen(&path).0, vec![b"new".to_vec(), b"er".to_vec(), b"more".to_vec()]);
        log.rewrite::<Vec<u8>>(&[]).unwrap();
        assert_eq!(log.length_bytes(), 0);
        // A rewrite that a crash stopped before the rename leaves the old records in force.
        log.append(b"kept", Durability::Fsync).unwrap();
        std::fs::write(directory.path().join("consensus.log.new"), b"half").unwrap();
        assert_eq!(reopen(&path).0, vec![b"kept".to_vec()]);
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing").join("consensus.log");
        let error = RecordLog::open(&path).unwrap_err();
        assert!(error.to_string().contains("missing/consensus.log"), "{error}");
    }
}
