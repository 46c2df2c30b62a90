//! Checks of the machine and the data directory, which need no running node.

use super::{Check, parties};
use crate::files;
use crate::settings::{NodeArgs, Settings};
use lonja_node::identity;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;

const MIB: u64 = 1 << 20;
/// A port of this machine answers within a fraction of this.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// When this program was written: a clock before that is wrong. Seconds since 1970.
const EPOCH_OF_PROGRAM: u64 = 1_760_000_000;

/// All of them. `port`: where the node that runs on the data directory takes peers; `None` if none runs.
pub async fn checks(folder: &Path, port: Option<u16>) -> Vec<Check> {
    let mut checks = vec![data_directory(folder)];
    let arguments = NodeArgs { data_dir: Some(folder.into()), ..NodeArgs::default() };
    let settings = match arguments.resolve(None) {
        Ok(settings) => settings,
        Err(error) => {
            checks.push(Check::fail("configuration", format!("{error:#}; correct it")));
            return checks;
        }
    };
    checks.push(key(&settings));
    checks.extend(parties::checks(&settings).await);
    checks.push(disk(&settings));
    match port {
        Some(port) => checks.push(open_port(port).await),
        None => checks.extend(free_ports(&settings)),
    }
    checks.push(clock(SystemTime::now()));
    checks
}

fn data_directory(folder: &Path) -> Check {
    let name = "data directory";
    let place = folder.display();
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Check::fail(
            name,
            format!("{place} is not there: name another with --data-dir, or make it: lonja init"),
        ),
        Err(error) => {
            Check::fail(name, format!("{place} cannot be read: {error}; run this as the user of the node"))
        }
        Ok(_) if !folder.join("db").exists() => {
            Check::warn(name, format!("{place} has no chain yet; a node makes one when it first starts"))
        }
        Ok(_) => Check::ok(name, place.to_string()),
    }
}

/// Only the owner reads a key, and it is the one that this data directory has had before.
fn key(settings: &Settings) -> Check {
    let file = &settings.node_key;
    let place = file.display();
    let mode = match fs::metadata(file) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::warn("key", format!("there is no {place}; a node makes one when it first starts"));
        }
        Err(error) => return Check::fail("key", format!("{place} cannot be looked at: {error}")),
    };
    let key = match files::read_key(file) {
        Ok(key) => key,
        Err(error) => return Check::fail("key", format!("{error:#}")),
    };
    if let Err(error) = identity::check(&settings.data_dir, &key.node_id()) {
        return Check::fail("key", error.to_string());
    }
    match mode & 0o077 {
        0 => Check::ok("key", format!("{place}, of address {}", key.node_id().address())),
        _ => Check::fail("key", format!("{place} can be read by others: chmod 600 {place}")),
    }
}

fn disk(settings: &Settings) -> Check {
    let free = match lonja_storage::free_bytes(&settings.data_dir) {
        Ok(free) => free / MIB,
        Err(error) => return Check::warn("disk", format!("its free space is not known: {error}")),
    };
    let least = settings.min_free_disk_mib;
    room(free, least)
}

fn room(free_mib: u64, least_mib: u64) -> Check {
    let text = format!("{free_mib} MiB are free");
    match free_mib {
        _ if free_mib < least_mib / 4 => Check::fail(
            "disk",
            format!(
                "{text}; below {} the node writes nothing: make room, or lower --min-free-disk-mib",
                least_mib / 4
            ),
        ),
        _ if free_mib < least_mib => Check::fail(
            "disk",
            format!(
                "{text}; below {least_mib} a validator does not vote: make room, or lower --min-free-disk-mib"
            ),
        ),
        _ if free_mib < least_mib.saturating_mul(4) => {
            Check::warn("disk", format!("{text}; that is soon too little"))
        }
        _ => Check::ok("disk", text),
    }
}

/// The addresses that the node listens on, by what they are for.
fn listeners(settings: &Settings) -> Vec<(&'static str, SocketAddr)> {
    let mut all = vec![("peers", SocketAddr::new(settings.p2p_addr, settings.p2p_port))];
    if settings.http {
        all.push(("JSON-RPC", SocketAddr::new(settings.http_addr, settings.http_port)));
        all.push(("WebSocket", SocketAddr::new(settings.http_addr, settings.ws_port)));
    }
    all.push(("metrics", SocketAddr::new(settings.metrics_addr, settings.metrics_port)));
    all.retain(|(_, address)| address.port() != 0);
    all
}

/// Of a node that does not run: whether it could listen.
fn free_ports(settings: &Settings) -> Vec<Check> {
    let taken = |(what, address): &(&'static str, SocketAddr)| match TcpListener::bind(address) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Some(format!(
            "{address} for {what} is in use by another process: stop that, or choose another port (see who: ss -ltnp)"
        )),
        Err(error) => Some(format!("{address} for {what} cannot be listened on: {error}")),
    };
    let taken: Vec<String> = listeners(settings).iter().filter_map(taken).collect();
    match taken.is_empty() {
        true => vec![Check::ok("ports", "those of the configuration are free")],
        false => taken.into_iter().map(|text| Check::fail("ports", text)).collect(),
    }
}

/// Of a node that runs: whether it takes peers on this machine, at the port that it tells.
async fn open_port(port: u16) -> Check {
    if port == 0 {
        return Check::ok("ports", "this node takes no peers, it only goes to them");
    }
    let reached =
        tokio::time::timeout(CONNECT_TIME, TcpStream::connect((IpAddr::from([127, 0, 0, 1]), port))).await;
    match reached {
        Ok(Ok(_)) => Check::ok("ports", format!("port {port} takes peers")),
        _ => Check::warn(
            "ports",
            format!(
                "port {port} does not answer on 127.0.0.1: fine where --p2p-addr is another address, else look at the firewall"
            ),
        ),
    }
}

fn clock(now: SystemTime) -> Check {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match seconds < EPOCH_OF_PROGRAM {
        true => Check::fail(
            "clock",
            "the clock of this machine is years behind: set it, and keep it right by NTP",
        ),
        false => Check::ok("clock", "the clock of this machine is not obviously wrong"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use lonja_primitives::NodeKey;

    fn settings(folder: &Path) -> Settings {
        NodeArgs { data_dir: Some(folder.into()), ..NodeArgs::default() }.resolve(None).unwrap()
    }

    #[test]
    fn a_key_is_private_and_the_one_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        assert_eq!(key(&settings).level, Level::Warn);
        let own = NodeKey::generate();
        files::write_key(&settings.node_key, &own).unwrap();
        assert_eq!(key(&settings).level, Level::Ok);
        fs::set_permissions(&settings.node_key, fs::Permissions::from_mode(0o644)).unwrap();
        let check = key(&settings);
        assert!(check.level == Level::Fail && check.text.contains("chmod 600"), "{check:?}");
        fs::set_permissions(&settings.node_key, fs::Permissions::from_mode(0o600)).unwrap();
        identity::accept(folder.path(), &NodeKey::generate().node_id()).unwrap();
        assert_eq!(key(&settings).level, Level::Fail);
        fs::write(&settings.node_key, "no key").unwrap();
        assert_eq!(key(&settings).level, Level::Fail);
    }

    #[test]
    fn little_room_is_told_before_it_stops_anything() {
        let level = |free| room(free, 1024).level;
        assert_eq!(
            [level(100), level(1000), level(2000), level(9000)],
            [Level::Fail, Level::Fail, Level::Warn, Level::Ok]
        );
        assert!(
            room(100, 1024).text.contains("writes nothing")
                && room(1000, 1024).text.contains("does not vote")
        );
    }

    #[tokio::test]
    async fn ports_are_free_for_a_stopped_node_and_open_for_a_running_one() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = settings(folder.path());
        settings.p2p_addr = IpAddr::from([127, 0, 0, 1]);
        settings.p2p_port = taken.local_addr().unwrap().port();
        (settings.http, settings.metrics_port) = (false, 0);
        let checks = free_ports(&settings);
        assert!(checks[0].level == Level::Fail && checks[0].text.contains("in use"), "{checks:?}");
        assert_eq!(open_port(settings.p2p_port).await.level, Level::Ok);
        drop(taken);
        assert_eq!(free_ports(&settings)[0].level, Level::Ok);
        assert_eq!(open_port(settings.p2p_port).await.level, Level::Warn);
    }

    #[tokio::test]
    async fn a_broken_configuration_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(files::CONFIG), "p2p-prot = 1\n").unwrap();
        let checks = checks(folder.path(), None).await;
        assert!(
            checks.iter().any(|check| check.name == "configuration" && check.level == Level::Fail),
            "{checks:?}"
        );
        assert_eq!(data_directory(&folder.path().join("none")).level, Level::Fail);
    }

    #[test]
    fn a_clock_years_behind_is_wrong() {
        assert_eq!(clock(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).level, Level::Fail);
        assert_eq!(
            clock(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_OF_PROGRAM + 1)).level,
            Level::Ok
        );
    }
}
