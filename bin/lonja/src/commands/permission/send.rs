//! `lonja permission send`.

use super::act::{Waiting, send_raw};
use crate::commands::status::Target;
use alloy_primitives::Bytes;
use clap::Args;
use eyre::{Result, eyre};
use std::io::Read;

/// Options of `lonja permission send`.
#[derive(Args, Debug)]
pub struct SendCommand {
    /// The signed transaction in hex; `-` reads it from standard input
    raw: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    waiting: Waiting,
}

impl SendCommand {
    /// Sends it and tells what came of it.
    pub async fn run(self) -> Result<()> {
        let raws = match self.raw.as_str() {
            "-" => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text)?;
                read(&text)?
            }
            text => read(text)?,
        };
        for raw in raws {
            send_raw(&self.target.endpoint(), &raw, self.waiting).await?;
        }
        Ok(())
    }
}

/// The transactions in a text, one a line.
fn read(text: &str) -> Result<Vec<Bytes>> {
    let parse =
        |line: &str| line.parse().map_err(|_| eyre!("this is no signed transaction in hex: {line:.40}"));
    let raws: Vec<Bytes> = text.split_whitespace().map(parse).collect::<Result<_>>()?;
    match raws.is_empty() {
        true => Err(eyre!("there is no transaction")),
        false => Ok(raws),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_may_be_given_one_a_line() {
        assert_eq!(read("0x01\n0x02\n").unwrap().len(), 2);
        assert!(read("").is_err() && read("hello").is_err());
    }
}
