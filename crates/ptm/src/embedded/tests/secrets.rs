//! Nothing secret stands on a disk or in a log.

use super::world::{NETWORK, key, node, parts, request, settings};
use crate::courier::{Courier, CourierError};
use crate::testing::key_pair;
use crate::*;
use alloy_primitives::Bytes;
use futures::future::BoxFuture;
use lonja_primitives::NodeId;
use lonja_storage::{StoreOptions, open_payloads};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Weak};

/// Bytes that stand nowhere by accident.
const SECRET: &[u8] = b"the price that nobody else may know: 4711 Gulden!";

#[derive(Default)]
struct Table(Mutex<HashMap<NodeId, EmbeddedManager>>);

struct Line(Weak<Table>, NodeId);

impl Courier for Line {
    fn ask(&self, to: NodeId, request: Bytes) -> BoxFuture<'_, Result<Bytes, CourierError>> {
        let asked = self.0.upgrade().and_then(|table| table.0.lock().get(&to).cloned());
        Box::pin(async move { Ok(asked.ok_or(CourierError::NotConnected)?.handle(self.1, request).await) })
    }

    fn is_reachable(&self, _: &NodeId) -> bool {
        true
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

pub(super) fn files_with(directory: &Path, secret: &[u8]) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        found += match path.is_dir() {
            true => files_with(&path, secret),
            false => usize::from(contains(&std::fs::read(&path).unwrap(), secret)),
        };
    }
    found
}

#[test]
fn secrets_are_in_no_file_and_no_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let directory = tempfile::tempdir().unwrap();
    // One thread, so that the log has what all tasks say.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hash = tracing::subscriber::with_default(subscriber, || {
        let table = Arc::new(Table::default());
        for name in [1, 2] {
            let store = open_payloads(&directory.path().join(name.to_string()), &StoreOptions::payloads());
            let courier = Arc::new(Line(Arc::downgrade(&table), node(name)));
            let parts = parts(name, &[name], store.unwrap(), courier, &runtime);
            let settings = Settings { outbox: true, ..settings() };
            table.0.lock().insert(node(name), EmbeddedManager::start(parts, settings).unwrap());
        }
        let manager = |name: u8| table.0.lock()[&node(name)].clone();
        let hash = runtime.block_on(async {
            manager(1).connected(node(2));
            manager(2).connected(node(1));
            while manager(1).known_keys().len() < 2 {
                tokio::task::yield_now().await;
            }
            let raw = manager(1).store_raw(SECRET.into(), None).await.unwrap();
            let signed = SendSigned { hash: raw, to: vec![key(2)], metadata: Metadata::default() };
            manager(1).send_signed(signed).await.unwrap();
            let request = request(1, &[2], SECRET);
            assert!(!format!("{request:?}").contains("Gulden"));
            let sent = manager(1).send(request).await.unwrap();
            let _ = manager(1).send(super::world::request(1, &[9], SECRET)).await.unwrap_err();
            manager(2).lookup(sent.hash).await;
            sent.hash
        });
        let found = runtime.block_on(manager(2).lookup(hash));
        let said = format!("{found:?} {:?}", manager(2).envelope(&hash));
        assert!(!said.contains("Gulden") && !said.contains(&format!("{:?}", &SECRET[..8])[1..]));
        let copy = manager(2).envelope(&hash).unwrap().unwrap();
        table.0.lock().clear();
        copy
    });
    let ring = Keyring::new(vec![key_pair(2)]).unwrap();
    let master_key = hash.open(&ring).unwrap().master_key;
    drop(runtime);
    assert!(files_with(directory.path(), hash.hash().as_slice()) >= 2, "the files are looked at");
    assert!(files_with(directory.path(), NETWORK.as_slice()) >= 2);
    for secret in [SECRET, &[1; 32], &[2; 32], master_key.as_bytes()] {
        assert_eq!(files_with(directory.path(), secret), 0);
        assert!(!contains(&log.0.lock(), secret));
    }
}
