//! One file per command.

pub mod account;
pub mod config;
pub mod db;
pub mod devnet;
pub mod doctor;
pub mod evm;
pub mod export;
pub mod genesis;
pub mod import;
pub mod init;
pub mod key;
pub mod node;
pub mod permission;
pub mod private;
pub mod ptm;
pub mod status;
pub mod t8n;
pub mod validator;
