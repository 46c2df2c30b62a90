//! The methods, one file (or folder) per namespace.

pub(crate) mod accounts;
pub(crate) mod admin;
pub(crate) mod debug;
pub(crate) mod eth;
pub(crate) mod istanbul;
pub(crate) mod lonja;
pub(crate) mod net;
pub(crate) mod perm;
pub(crate) mod permissions;
pub(crate) mod personal;
pub(crate) mod qbft;
pub(crate) mod quorum_extension;
pub(crate) mod quorum_permission;
pub(crate) mod txpool;
pub(crate) mod validators;
pub(crate) mod web3;

use crate::config::Access;
use crate::context::Context;
use crate::register::{Offered, Table};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Version of every namespace, as `rpc_modules` lists it: clients look at the names only.
const NAMESPACE_VERSION: &str = "1.0";

/// The method table of a transport.
pub(crate) fn table(context: Arc<Context>, access: Access) -> Offered {
    let mut table = Table::new(context, access);
    eth::register(&mut table);
    accounts::register(&mut table);
    personal::register(&mut table);
    net::register(&mut table);
    web3::register(&mut table);
    txpool::register(&mut table);
    istanbul::register(&mut table);
    qbft::register(&mut table);
    admin::register(&mut table);
    lonja::register(&mut table);
    quorum_permission::register(&mut table);
    quorum_extension::register(&mut table);
    perm::register(&mut table);
    debug::register(&mut table);
    crate::privacy::register(&mut table);
    register_rpc(&mut table);
    table.finish()
}

/// `rpc_modules`: the namespaces that this transport offers.
fn register_rpc(table: &mut Table) {
    let mut modules: Map<String, Value> = Map::new();
    for namespace in &table.access().namespaces {
        modules.insert(namespace.name().to_owned(), Value::from(NAMESPACE_VERSION));
    }
    modules.insert("rpc".to_owned(), Value::from(NAMESPACE_VERSION));
    let registered =
        table.module().register_method("rpc_modules", move |_, _, _| Value::Object(modules.clone()));
    registered.expect("every method is registered once");
}
