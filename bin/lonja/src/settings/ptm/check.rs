//! What the options of the manager mean together, and which contradict each other.

use super::{PtmMode, PtmSettings, TlsMode};
use crate::manager::Doors;
use eyre::{Context, Result, bail};
use lonja_ptm::tessera::{Address, Cors, Listen, PeerOptions, TlsClientOptions};
use lonja_ptm::{PeerUrl, PublicKey};

impl PtmSettings {
    /// Where the Tessera is, if one is named.
    pub fn remote_address(&self) -> Result<Option<Address>> {
        match (&self.url, &self.socket) {
            (Some(_), Some(_)) => bail!("--ptm-url and --ptm-socket name two places; one is enough"),
            (Some(url), None) => url.parse().map(Some).wrap_err("--ptm-url"),
            (None, Some(path)) => {
                let text = format!("unix:{}", path.display());
                text.parse().map(Some).wrap_err("--ptm-socket")
            }
            (None, None) => Ok(None),
        }
    }

    /// Who gets everything that is sent from here.
    pub fn always_send_to(&self) -> Result<Vec<PublicKey>> {
        let parse = |key: &String| key.parse().wrap_err_with(|| format!("--ptm-always-send-to {key}"));
        self.always_send_to.iter().map(parse).collect()
    }

    /// Where clients are served, and which web pages may call.
    pub fn clients(&self) -> Result<Option<(Listen, Option<Cors>)>> {
        let Some(text) = &self.client_listen else {
            if !self.client_cors.is_empty() {
                bail!("--ptm-client-cors is for the API of --ptm-client-listen");
            }
            return Ok(None);
        };
        let origins = self.client_cors.clone();
        let cors = (!origins.is_empty()).then(|| Cors { origins, headers: Vec::new(), credentials: true });
        Ok(Some((self.doors().listen("--ptm-client-listen", text)?, cors)))
    }

    /// Where nodes are served.
    pub fn nodes(&self) -> Result<Option<Listen>> {
        self.q2t.as_deref().map(|text| self.doors().listen("--ptm-q2t", text)).transpose()
    }

    /// Where Tesseras are served, and what is said about them.
    pub fn managers(&self) -> Result<Option<(Listen, PeerOptions)>> {
        let Some(text) = &self.p2p else {
            if !self.peers.is_empty() || self.p2p_url.is_some() {
                bail!(
                    "--ptm-peer and --ptm-p2p-url are for Tesseras, which must reach this node: add --ptm-p2p-listen"
                );
            }
            return Ok(None);
        };
        let (doors, option) = (self.doors(), "--ptm-p2p-listen");
        let listen = doors.listen(option, text)?;
        let url = doors.own_url(option, &listen, self.p2p_url.as_deref())?;
        let peers: Result<Vec<PeerUrl>> = self
            .peers
            .iter()
            .map(|peer| peer.parse().wrap_err_with(|| format!("--ptm-peer {peer}")))
            .collect();
        let tls = self.tls_client()?;
        Ok(Some((
            listen,
            PeerOptions { peers: peers?, discovery: self.discovery, tls, ..PeerOptions::new(url) },
        )))
    }

    /// How those are recognised that we dial.
    pub fn tls_client(&self) -> Result<TlsClientOptions> {
        Ok(TlsClientOptions {
            authorities: self.tls_ca.clone(),
            identity: self.doors().identity()?,
            server_name: self.tls_server_name.clone(),
            skip_verification: self.tls_skip_verify,
        })
    }

    pub(super) fn check(&self) -> Result<()> {
        let address = self.remote_address()?;
        match (self.mode, &address) {
            (PtmMode::Remote, None) => {
                bail!("--ptm remote needs the place of the Tessera: --ptm-url or --ptm-socket")
            }
            (PtmMode::Embedded | PtmMode::Off, Some(_)) => {
                bail!("--ptm-url and --ptm-socket are for --ptm remote")
            }
            _ => {}
        }
        if address.is_some()
            && let Some(option) = self.only_embedded()
        {
            bail!(
                "{option} is for the manager of this node's own, and --ptm-url or --ptm-socket names another"
            );
        }
        match (self.tls_mode, address.is_some_and(|address| address.is_tls())) {
            (Some(TlsMode::Strict), false) => bail!("--ptm-tls-mode strict needs a --ptm-url with https"),
            (Some(TlsMode::Off), true) => bail!("--ptm-tls-mode off contradicts the https of --ptm-url"),
            _ => {}
        }
        self.tls_client()?;
        self.always_send_to()?;
        self.clients()?;
        self.nodes()?;
        self.managers()?;
        Ok(())
    }

    /// An option that a Tessera has for itself.
    fn only_embedded(&self) -> Option<&'static str> {
        let given = [
            ("--ptm-key", !self.keys.is_empty()),
            ("--ptm-always-send-to", !self.always_send_to.is_empty()),
            ("--ptm-outbox", self.outbox),
            ("--ptm-client-listen", self.client_listen.is_some()),
            ("--ptm-q2t", self.q2t.is_some()),
            ("--ptm-p2p-listen", self.p2p.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    fn doors(&self) -> Doors<'_> {
        Doors {
            prefix: "--ptm-",
            certificate: (self.tls_cert.as_deref(), self.tls_key.as_deref()),
            client_authorities: &self.tls_client_ca,
        }
    }
}
