//! `lonja status`: one screen about a running node.

use crate::client::Endpoint;
use crate::files;
use clap::Args;
use eyre::Result;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Which running node a command talks to.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Data directory of the node; its IPC socket is used
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    pub data_dir: PathBuf,
    /// URL (http://host:port) or socket path to use instead
    #[arg(long)]
    pub rpc: Option<String>,
}

impl Target {
    /// Where to call.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::choose(self.rpc.clone(), &self.data_dir)
    }
}

/// Options of `lonja status`.
#[derive(Args, Debug)]
pub struct StatusCommand {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    /// Asks the node and prints what it says.
    pub async fn run(self) -> Result<()> {
        let status = self.target.endpoint().call("lonja_status", json!([])).await?;
        if self.json {
            println!("{status:#}");
        } else {
            print_object("", &status);
        }
        Ok(())
    }
}

/// Prints nested objects as indented `name  value` lines, whatever the node chose to report.
fn print_object(indent: &str, value: &Value) {
    for (name, field) in value.as_object().into_iter().flatten() {
        match field {
            Value::Object(_) => {
                println!("{indent}{name}");
                print_object(&format!("{indent}  "), field);
            }
            Value::Array(items) => {
                println!("{indent}{name} ({})", items.len());
                items.iter().for_each(|item| println!("{indent}  {}", plain(item)));
            }
            _ => println!("{indent}{name:<22} {}", plain(field)),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, field)| format!("{name}: {}", plain(field))).collect();
            fields.join(", ")
        }
        other => other.to_string(),
    }
}
