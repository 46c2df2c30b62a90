//! Processes of the program under test.

use super::{PATIENCE, wait_for};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Names the program to be run, instead of the one that was built beside this one. To be called first of all.
pub fn choose_binary(path: PathBuf) {
    let path = fs::canonicalize(&path).unwrap_or(path);
    CHOSEN.set(path).expect("it is chosen once, before anything runs");
}

/// The program under test: the chosen one, or that beside this test (`target/release/lonja` for
/// `target/release/deps/it-…`) or beside this program.
fn binary() -> PathBuf {
    let beside = || {
        let own = std::env::current_exe().expect("a program knows where it stands");
        let folders = own.ancestors().skip(1).take(2);
        folders.map(|folder| folder.join("lonja")).find(|path| path.exists()).unwrap_or("lonja".into())
    };
    let path = CHOSEN.get_or_init(beside);
    assert!(path.exists(), "{} is missing: run `cargo build --release -p lonja` first", path.display());
    path.clone()
}

/// A call of the program, free of what the developer's own environment says.
pub fn lonja<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LONJA_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a call that ended said.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; none for one that a signal ended.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The standard output of a call that must succeed.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// The standard error of a call that must fail, without a panic.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0 && code != 101), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self.stderr
    }
}

/// Calls the program and waits for its end.
pub fn run<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Finished {
    run_for(lonja(arguments), PATIENCE)
}

/// Waits for the end of a call; one that lasts longer than `most` is killed, and has no exit code. What its threads waited
/// for is added to what it said.
pub fn run_for(mut command: Command, most: Duration) -> Finished {
    let (mut stdout, mut stderr) = (scratch(), scratch());
    command.stdin(Stdio::null());
    command.stdout(stdout.try_clone().expect("a file has a second handle"));
    command.stderr(stderr.try_clone().expect("a file has a second handle"));
    let mut child = command.spawn().expect("the program starts");
    let started = Instant::now();
    let mut waited_for = String::new();
    let code = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break status.code(),
            None if started.elapsed() < most => thread::sleep(Duration::from_millis(10)),
            None => {
                waited_for = threads(child.id());
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
        }
    };
    Finished { code, stdout: content(&mut stdout), stderr: content(&mut stderr) + &waited_for }
}

/// Name, state, and place in the kernel of each thread of a process, where the system tells.
fn threads(id: u32) -> String {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return String::new() };
    let line = |thread: PathBuf| {
        let read = |name: &str| fs::read_to_string(thread.join(name)).unwrap_or_default();
        let status = read("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default();
        let [name, wait, call] = ["comm", "wchan", "syscall"].map(|file| read(file).trim().to_string());
        format!("\nthread {name}: {}, {wait}, system call {call}", state.trim())
    };
    threads.filter_map(Result::ok).map(|thread| line(thread.path())).collect()
}

fn scratch() -> File {
    tempfile::tempfile().expect("temporary files can be made")
}

fn content(file: &mut File) -> String {
    file.seek(SeekFrom::Start(0)).expect("a file can be read from its start");
    std::io::read_to_string(file).expect("the program prints text")
}

/// A running process whose output goes to a log. It is killed when this is dropped.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts a process in a group of its own; its output is added to the log.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let mut file =
            OpenOptions::new().create(true).append(true).open(log).expect("the log can be written");
        writeln!(file, "---- {command:?}").expect("the log can be written");
        command.stdin(Stdio::piped()).process_group(0);
        command.stdout(file.try_clone().expect("a file has a second handle")).stderr(file);
        let mut child = command.spawn().expect("the program starts");
        let stdin = child.stdin.take();
        Self { child, stdin, log: log.into() }
    }

    /// Sends a signal by name, as `kill -s` knows it.
    pub fn signal(&self, name: &str) {
        let order = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &order]).status().expect("every system has sh");
        assert!(status.success(), "{order}: {status}");
    }

    /// Kills it without a warning, and waits until it is gone.
    pub fn kill9(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        wait_for(&format!("{} ends", self.log.display()), || self.ended())
    }
}

impl Drop for Process {
    /// Closing its standard input would stop it too, but slowly, and not while it is frozen.
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        drop(self.stdin.take());
    }
}

/// The end of a log, for the report of a failed scenario.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
