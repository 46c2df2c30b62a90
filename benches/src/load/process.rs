//! What processes use, from `/proc`, and what they have on disk.

use eyre::{Context, Result, bail, eyre};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Clock ticks per second of the CPU times in `/proc`: 100 on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;
/// Field of the parent's id in `/proc/PID/stat`, counted behind the name.
const PARENT_FIELD: usize = 1;
/// Fields of the time in user mode, and in the system.
const CPU_FIELDS: [usize; 2] = [11, 12];

/// A process to be watched: `name=PID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Name in the report.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Folder of its data.
    pub data: Option<PathBuf>,
}

/// Where the data of a watched process are: `name=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    /// Name of the process.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

impl FromStr for DataFolder {
    type Err = eyre::Report;

    fn from_str(text: &str) -> Result<Self> {
        let (name, folder) = text.split_once('=').ok_or_else(|| eyre!("{text:?} is not NAME=DIR"))?;
        Ok(Self { name: name.to_owned(), folder: folder.into() })
    }
}

impl FromStr for Watched {
    type Err = eyre::Report;

    fn from_str(text: &str) -> Result<Self> {
        let (name, pid) = text.split_once('=').ok_or_else(|| eyre!("{text:?} is not NAME=PID"))?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.parse().wrap_err_with(|| format!("{pid:?} is no process id"))?,
            data: None,
        })
    }
}

/// What a process has used so far.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// CPU time in seconds.
    pub cpu_s: f64,
    /// The same by name of thread; threads that share a name are added up.
    pub threads: BTreeMap<String, f64>,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Most that ever was resident, bytes.
    pub peak_rss_bytes: u64,
    /// Its data on disk, bytes, where their folder is known.
    pub disk_bytes: Option<u64>,
}

/// CPU time of the whole machine, seconds over all processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// At work for anybody.
    pub busy_s: f64,
    /// Taken away by the host of a virtual machine.
    pub stolen_s: f64,
}

impl Watched {
    /// This tool itself.
    pub fn own() -> Self {
        Self { name: "this tool".into(), pid: std::process::id(), data: None }
    }

    /// Resident memory now, bytes; 0 when the process has ended.
    pub fn rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid));
        status.map_or(0, |status| kib(&status, "VmRSS:") << 10)
    }

    /// What the process has used until now.
    pub fn usage(&self) -> Result<Usage> {
        let folder = format!("/proc/{}", self.pid);
        let read = |path: String| {
            fs::read_to_string(&path).wrap_err_with(|| format!("{}: cannot read {path}", self.name))
        };
        let status = read(format!("{folder}/status"))?;
        let mut usage = Usage {
            cpu_s: cpu_s(&read(format!("{folder}/stat"))?)?,
            rss_bytes: kib(&status, "VmRSS:") << 10,
            peak_rss_bytes: kib(&status, "VmHWM:") << 10,
            disk_bytes: self.data.as_deref().map(folder_bytes),
            ..Usage::default()
        };
        for thread in fs::read_dir(format!("{folder}/task"))?.flatten() {
            // A thread may end while we look.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
            let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map(|(name, _)| name);
            let name = name.unwrap_or("?").trim_end_matches(|c: char| c.is_ascii_digit());
            *usage.threads.entry(name.to_owned()).or_default() += cpu_s(&stat)?;
        }
        Ok(usage)
    }
}

impl Usage {
    /// CPU time by name of thread since an earlier look, greatest first.
    pub fn threads_since(&self, earlier: &Self) -> Vec<(String, f64)> {
        let before = |name| earlier.threads.get(name).copied().unwrap_or(0.0);
        let mut threads: Vec<(String, f64)> =
            self.threads.iter().map(|(name, cpu_s)| (name.clone(), cpu_s - before(name))).collect();
        threads.sort_by(|a, b| b.1.total_cmp(&a.1));
        threads
    }
}

impl Machine {
    /// Since the machine was started.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let [user, nice, system, _idle, _waiting, interrupt, soft_interrupt, stolen, ..] = ticks[..] else {
            bail!("/proc/stat does not look like Linux's");
        };
        let busy = user + nice + system + interrupt + soft_interrupt;
        Ok(Self { busy_s: busy / TICKS_PER_SECOND, stolen_s: stolen / TICKS_PER_SECOND })
    }
}

/// The processes whose parent is `parent`, with their command lines.
pub fn children(parent: u32) -> Vec<(u32, Vec<String>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if field(&stat, PARENT_FIELD) != Some(f64::from(parent)) {
            continue;
        }
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        found.push((pid, line.split('\0').map(str::to_owned).collect()));
    }
    found.sort();
    found
}

/// Size of all files in a folder. Files that vanish meanwhile count nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(size).sum()
}

fn field(stat: &str, number: usize) -> Option<f64> {
    stat.rsplit_once(") ")?.1.split(' ').nth(number)?.parse().ok()
}

fn cpu_s(stat: &str) -> Result<f64> {
    let ticks: Option<f64> = CPU_FIELDS.iter().map(|number| field(stat, *number)).sum();
    ticks.map(|ticks| ticks / TICKS_PER_SECOND).ok_or_else(|| eyre!("not a line of /proc/PID/stat: {stat}"))
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_itself() {
        let own = Watched::own();
        let usage = own.usage().unwrap();
        assert!(own.rss_bytes() > 0 && usage.disk_bytes.is_none());
        assert!(usage.rss_bytes > 0 && usage.peak_rss_bytes >= usage.rss_bytes);
        assert!(!usage.threads.is_empty());
        assert!(Machine::now().unwrap().busy_s > 0.0);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let is_child =
            |(pid, line): &(u32, Vec<String>)| *pid == child.id() && line.iter().any(|word| word == "60");
        // A process has no command line for a moment after it began.
        let found = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            children(own.pid).iter().any(is_child)
        });
        assert!(found, "{:?}", children(own.pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn names_of_processes_with_brackets_do_not_confuse() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 0 0 0 0 150 50 0 0 20 0 1 0";
        assert_eq!(cpu_s(stat).unwrap(), 2.0);
        assert_eq!("v=7".parse::<Watched>().unwrap(), Watched { name: "v".into(), pid: 7, data: None });
        let folder = DataFolder { name: "v".into(), folder: "/d=e".into() };
        assert_eq!("v=/d=e".parse::<DataFolder>().unwrap(), folder);
        assert!("7".parse::<Watched>().is_err() && "v=x".parse::<Watched>().is_err());
    }

    #[test]
    fn files_in_all_folders_count() {
        let dir = std::env::temp_dir().join(format!("lonja-benches-{}", std::process::id()));
        fs::create_dir_all(dir.join("inner")).unwrap();
        fs::write(dir.join("one"), [0; 10]).unwrap();
        fs::write(dir.join("inner/two"), [0; 5]).unwrap();
        let own = Watched { data: Some(dir.clone()), ..Watched::own() };
        assert_eq!(own.usage().unwrap().disk_bytes, Some(15));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(own.usage().unwrap().disk_bytes, Some(0));
    }
}
