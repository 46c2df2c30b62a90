//! Free ports. They are taken below the range from which the system hands out ports for outgoing connections, so
//! that nobody gets one by chance between the look and the use.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// First port that is tried.
const FIRST: u16 = 12_000;
/// Ports that one test process tries before it comes to those of the next.
const STRIDE: u16 = 120;
/// Test processes that keep out of each other's way.
const STRIDES: u16 = 70;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on, for TCP and UDP, and that was not handed out before.
pub fn free_port() -> u16 {
    let room = STRIDE * STRIDES;
    let base = (std::process::id() % u32::from(STRIDES)) as u16 * STRIDE;
    for _ in 0..room {
        let port = FIRST + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % room;
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + room);
}

/// Whether nobody listens on a port of the loopback address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
}

/// A number to add to each of `ports` after which all of them are free.
pub fn offset_for(ports: &[u16]) -> u16 {
    let first = (std::process::id() % 90) as u16 * 20 + 200;
    let fits = |offset: &u16| ports.iter().all(|port| is_free(port + offset));
    (first..first + 400).step_by(20).find(fits).expect("a machine has free ports")
}
