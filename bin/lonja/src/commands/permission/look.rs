//! What reads: which node is asked, about which block, and for whom it is printed.

use crate::client::Endpoint;
use crate::commands::status::Target;
use clap::Args;
use eyre::{Result, bail};
use serde_json::{Value, json};

/// Most entries that one list shows.
const LIST_MAX: usize = 20_000;

/// Where reading looks.
#[derive(Args, Clone, Debug)]
pub struct Look {
    #[command(flatten)]
    pub target: Target,
    /// As it was after this block: a height or hash [default: the newest]
    #[arg(long, value_name = "BLOCK")]
    pub at: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Look {
    /// The node.
    pub fn endpoint(&self) -> Endpoint {
        self.target.endpoint()
    }

    /// The block as the node takes it.
    pub fn block(&self) -> Value {
        self.at.as_deref().map_or(json!("latest"), block)
    }

    /// One answer about this block.
    pub async fn ask(&self, method: &str, mut params: Vec<Value>) -> Result<Value> {
        params.push(self.block());
        self.endpoint().call(method, Value::Array(params)).await
    }

    /// All pages of a list, as one; `page` makes the parameters of a page from its beginning. All are of one block.
    pub async fn pages(
        &self,
        method: &str,
        field: &str,
        page: impl Fn(Value) -> Vec<Value>,
    ) -> Result<Vec<Value>> {
        let (endpoint, mut all, mut from, mut at) = (self.endpoint(), Vec::new(), Value::Null, self.block());
        loop {
            let mut params = page(from);
            params.push(at);
            let answer = endpoint.call(method, Value::Array(params)).await?;
            all.extend(answer[field].as_array().cloned().unwrap_or_default());
            from = answer["next"].clone();
            at = json!(format!("{:#x}", answer["block"].as_u64().unwrap_or(0)));
            if from.is_null() {
                return Ok(all);
            }
            if all.len() >= LIST_MAX {
                bail!(
                    "there are more than {LIST_MAX} entries: ask for a part by filters, or page by {method}"
                );
            }
        }
    }
}

/// A block as people write it: a decimal height, or anything that nodes take.
pub fn block(text: &str) -> Value {
    match text.parse::<u64>() {
        Ok(height) => json!(format!("{height:#x}")),
        Err(_) => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_may_be_decimal() {
        assert_eq!(block("16"), json!("0x10"));
        assert_eq!(block("0x10"), json!("0x10"));
        assert_eq!(block("earliest"), json!("earliest"));
    }
}
