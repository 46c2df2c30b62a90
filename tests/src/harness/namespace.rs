//! Lines between nodes that break as lines do: each node in a Linux network namespace of its own, all joined by a
//! bridge in a further one.
//!
//! Packets on a broken line vanish, and neither end is told. That needs root and `ip`; where they are missing, a
//! [cable](super::cable) is the next best. Nothing of this machine's own network is touched: both ends of every line
//! are made inside these namespaces, and vanish with them.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Begins the names of all namespaces made here; the number of the test's process follows.
const PREFIX: &str = "lonja-test-";
/// Where `ip` keeps the namespaces that have a name.
const NAMED: &str = "/run/netns";
/// The bridge that all nodes are joined by, and the one for those that are set apart.
const BRIDGES: [&str; 2] = ["bridge", "apart"];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace. It lives as long as the [`Switch`] that made it.
#[derive(Clone, Copy, Debug)]
pub struct Namespace(u32);

/// The namespaces of some nodes, and the bridge they are joined by. They are taken away when this is dropped.
pub struct Switch {
    own: Namespace,
    nodes: Vec<Namespace>,
}

impl Namespace {
    fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn name(self) -> String {
        format!("{PREFIX}{}-{}", std::process::id(), self.0)
    }

    /// Does something inside. What it makes there, sockets and processes, stays there.
    pub fn within<T: Send>(self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let inside = || {
            let namespace = File::open(Path::new(NAMED).join(self.name()))?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        // Only a thread of its own can be moved without moving the test.
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn make(self) -> Result<(), String> {
        ip(&["netns", "add", &self.name()])?;
        ip(&["-n", &self.name(), "link", "set", "lo", "up"])
    }
}

impl Switch {
    /// Makes everything for so many nodes. `Err` says what is missing here.
    pub fn install(nodes: usize) -> Result<Self, String> {
        remove_leftovers();
        let switch = Self { own: Namespace::new(), nodes: (0..nodes).map(|_| Namespace::new()).collect() };
        switch.own.make()?;
        for bridge in BRIDGES {
            switch.set(&["link", "add", bridge, "type", "bridge"])?;
            switch.set(&["link", "set", bridge, "up"])?;
        }
        (0..nodes).try_for_each(|n| switch.lay(n))?;
        Ok(switch)
    }

    /// Makes a node's namespace and its line to the bridge.
    fn lay(&self, n: usize) -> Result<(), String> {
        let (node, port) = (self.nodes[n], port(n));
        let (name, address) = (node.name(), format!("{}/24", self.address(n)));
        node.make()?;
        self.set(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        self.set(&["link", "set", &port, "master", BRIDGES[0], "up"])?;
        ip(&["-n", &name, "address", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &name, "link", "set", "eth0", "up"])
    }

    pub fn namespace(&self, n: usize) -> Namespace {
        self.nodes[n]
    }

    /// Where a node is reached by the others.
    pub fn address(&self, n: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, u8::try_from(n + 1).expect("a scenario has a handful of nodes"))
    }

    /// Pulls a node's plug, or puts it in again.
    pub fn set_plugged(&self, n: usize, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        self.set(&["link", "set", &port(n), state]).expect("a line can be cut");
    }

    /// Joins a node to those that are set apart, or to the others.
    pub fn set_apart(&self, n: usize, apart: bool) {
        let bridge = BRIDGES[usize::from(apart)];
        self.set(&["link", "set", &port(n), "master", bridge]).expect("a line can be moved");
    }

    fn set(&self, words: &[&str]) -> Result<(), String> {
        let name = self.own.name();
        ip(&[&["-n", &name], words].concat())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for namespace in self.nodes.iter().chain([&self.own]) {
            remove(&namespace.name());
        }
    }
}

/// The bridge's end of a node's line.
fn port(n: usize) -> String {
    format!("port{n}")
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// One that was never made is fine too.
fn remove(name: &str) {
    if Path::new(NAMED).join(name).exists()
        && let Err(error) = ip(&["netns", "delete", name])
    {
        eprintln!("{error}");
    }
}

/// A test that was killed could not take its namespaces away.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(NAMED) else { return };
    for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let own = std::process::id().to_string();
        if process.is_some_and(|id| id != own && !Path::new("/proc").join(id).exists()) {
            remove(&name);
        }
    }
}
