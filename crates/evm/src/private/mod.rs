//! Private transactions. In the public pass one is a shell: nonce and intrinsic gas, nothing is executed
//! ([`shell`]). Its parties execute the payload in a second pass of their own, on two states at once
//! ([`execute_private`]).
//!
//! An account belongs to the private state if it is there, otherwise to the public one. Public code runs read-only: from
//! the frame that enters it on, in all frames below, whatever would change something fails as under `STATICCALL`. So
//! nothing private can come into the public state, and nothing public changes in the private pass.

mod execute;
mod guard;
mod layered;
pub(crate) mod marker;
pub(crate) mod shell;

pub use execute::{PrivateMessage, PrivateOutcome, execute_private, trace_private};
pub(crate) use guard::{Guarded, Realm};
pub use layered::{DualView, LayeredView};
