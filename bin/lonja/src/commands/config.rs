//! `lonja config`: what the node would run with.

use crate::settings::NodeArgs;
use clap::{Args, Subcommand};
use eyre::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the merged result of file, variables, flags and defaults, in the form of lonja.toml
    Show(Box<ShowArgs>),
    /// Print the reference of all options as Markdown (docs/configuration.md)
    Reference,
}

/// Options of `lonja config show`: those of `lonja node`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Configuration file [default: lonja.toml in the data directory, if there]
    #[arg(long, env = "LONJA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

impl ConfigCommand {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Show(args) => {
                let settings = args.node.resolve(args.config.as_deref())?;
                print!("{}", toml::to_string(&settings)?);
            }
            Self::Reference => print!("{}", reference()),
        }
        Ok(())
    }
}

const INTRODUCTION: &str = "# Configuration

<!-- Printed by `lonja config reference`; a test compares. -->

Every option of `lonja node` exists three times under one name, in rising order: in `lonja.toml` (in the data
directory, or named by `--config`) as a key, in the environment as a variable, on the command line as a flag. An
unknown key, variable or flag is an error. `lonja config show` prints the merged result in the form of
`lonja.toml`. Lists are written with commas in variables and flags (or the flag repeated), as arrays in the file.
";

/// The options as tables, one for each group of `lonja node --help`.
fn reference() -> String {
    let command = NodeArgs::augment_args(clap::Command::new("node"));
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for arg in command.get_arguments() {
        let group = arg.get_help_heading().unwrap_or("Node").to_string();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let row = format!(
            "| `--{}` | `{}` | `{variable}` | {help} |\n",
            arg.get_long().unwrap_or_default(),
            key(arg.get_id().as_str()),
        );
        groups.entry(group).or_default().push_str(&row);
    }
    let mut text = INTRODUCTION.to_string();
    for (group, rows) in groups {
        text.push_str(&format!(
            "\n## {group}\n\n| flag | key | variable | meaning |\n|---|---|---|---|\n{rows}"
        ));
    }
    text
}

/// The key in the file: options of the manager stand in a section.
fn key(id: &str) -> String {
    let name = id.replace('_', "-");
    name.strip_prefix("ptm-").map(|name| format!("ptm.{name}")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_docs_is_current() {
        let written = include_str!("../../../../docs/configuration.md");
        assert_eq!(written, reference(), "run: lonja config reference > docs/configuration.md");
    }
}
