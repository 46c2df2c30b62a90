//! GoQuorum's variable `PRIVATE_CONFIG`.

use super::{PtmArgs, PtmMode, TlsMode};
use clap::ValueEnum;
use eyre::{Context, Result, bail, eyre};
use serde::Deserialize;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The file that GoQuorum's `PRIVATE_CONFIG` may name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PrivateConfig {
    socket: Option<PathBuf>,
    workdir: Option<PathBuf>,
    http_url: Option<String>,
    timeout: Option<u64>,
    dial_timeout: Option<u64>,
    http_idle_conn_timeout: Option<u64>,
    tls_mode: Option<String>,
    #[serde(rename = "tlsRootCA")]
    tls_root_ca: Option<String>,
    tls_client_cert: Option<PathBuf>,
    tls_client_key: Option<PathBuf>,
    tls_insecure_skip_verify: Option<bool>,
    /// Sizes of GoQuorum's buffers, which mean nothing here.
    #[serde(rename = "httpWriteBufferSize")]
    _http_write_buffer_size: Option<u64>,
    #[serde(rename = "httpReadBufferSize")]
    _http_read_buffer_size: Option<u64>,
}

/// What the variable's value says.
pub(super) fn read(value: &Path) -> Result<PtmArgs> {
    if value == Path::new("ignore") {
        return Ok(PtmArgs { mode: Some(PtmMode::Off), ..PtmArgs::default() });
    }
    let what = || format!("the environment variable PRIVATE_CONFIG names {}", value.display());
    if fs::metadata(value).wrap_err_with(what)?.file_type().is_socket() {
        return Ok(PtmArgs { socket: Some(value.into()), ..PtmArgs::default() });
    }
    let text = fs::read_to_string(value).wrap_err_with(what)?;
    let file: PrivateConfig = toml::from_str(&text).wrap_err_with(what)?;
    let socket = file.socket.map(|socket| file.workdir.unwrap_or_default().join(socket));
    if socket.is_none() && file.http_url.is_none() {
        bail!("{}, which has neither socket nor httpUrl", what());
    }
    let tls_mode = file.tls_mode.map(|mode| TlsMode::from_str(&mode, true)).transpose();
    let paths = |text: String| text.split(',').map(|path| path.trim().into()).collect();
    Ok(PtmArgs {
        socket,
        url: file.http_url,
        timeout: file.timeout,
        dial_timeout: file.dial_timeout,
        idle_timeout: file.http_idle_conn_timeout,
        tls_ca: file.tls_root_ca.map(paths),
        tls_cert: file.tls_client_cert,
        tls_key: file.tls_client_key,
        tls_skip_verify: file.tls_insecure_skip_verify,
        tls_mode: tls_mode.map_err(|error| eyre!("{}: tlsMode: {error}", what()))?,
        ..PtmArgs::default()
    })
}
