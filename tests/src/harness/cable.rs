//! Cables between nodes that can be cut: small TCP proxies, one for each direction of dialling.
//!
//! A cut cable does what a dead line does: it refuses nothing and answers nothing. What was sent into it comes out
//! after it is mended, as TCP would send it again.

use super::free_port;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// How often the state of a cable is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const GONE: u8 = 2;

/// One cable. It is taken away when this is dropped.
pub struct Cable {
    /// Where to dial instead of the port it leads to.
    pub port: u16,
    state: Arc<AtomicU8>,
}

impl Cable {
    /// Lays a cable to a port of this machine.
    pub fn lay(target: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port can be used");
        listener.set_nonblocking(true).expect("a listener can be polled");
        let state = Arc::new(AtomicU8::new(WHOLE));
        let seen = state.clone();
        thread::spawn(move || accept(&listener, target, &seen));
        Self { port, state }
    }

    /// Cuts it, or mends it.
    pub fn set_cut(&self, cut: bool) {
        self.state.store(if cut { CUT } else { WHOLE }, Ordering::Relaxed);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.state.store(GONE, Ordering::Relaxed);
    }
}

/// Waits while the cable is cut; `false` when it is gone.
fn passes(state: &AtomicU8) -> bool {
    loop {
        match state.load(Ordering::Relaxed) {
            WHOLE => return true,
            CUT => thread::sleep(LOOK_EVERY),
            _ => return false,
        }
    }
}

fn accept(listener: &TcpListener, target: u16, state: &Arc<AtomicU8>) {
    while passes(state) {
        match listener.accept() {
            Ok((near, _)) => connect(near, target, state),
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// A near end whose far end does not answer is hung up.
fn connect(near: TcpStream, target: u16, state: &Arc<AtomicU8>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { return };
    let ends = || -> std::io::Result<[TcpStream; 4]> {
        for end in [&near, &far] {
            end.set_nonblocking(false)?;
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(LOOK_EVERY * 5))?;
        }
        Ok([near.try_clone()?, far.try_clone()?, far.try_clone()?, near.try_clone()?])
    };
    let Ok([near_out, far_in, far_out, near_in]) = ends() else { return };
    for (from, to) in [(near_out, far_in), (far_out, near_in)] {
        let state = state.clone();
        thread::spawn(move || pump(from, to, &state));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut buffer = [0u8; 16 << 10];
    while passes(state) {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        // What was read before the cut waits in the cable.
        if !passes(state) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    if passes(state) {
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
