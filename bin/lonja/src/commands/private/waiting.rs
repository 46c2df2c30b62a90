//! Waiting for a node that does something in the background.

use crate::client::Endpoint;
use crate::progress::Progress;
use eyre::Result;
use serde_json::Value;
use std::time::Duration;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(500);

/// Asks until the answer says that it is done, showing a line about it now and then.
pub async fn until(
    endpoint: &Endpoint,
    method: &str,
    params: Value,
    is_done: impl Fn(&Value) -> bool,
    line: impl Fn(&Value) -> String,
) -> Result<Value> {
    let mut progress = Progress::new();
    loop {
        let status = endpoint.call(method, params.clone()).await?;
        if is_done(&status) {
            progress.clear();
            return Ok(status);
        }
        progress.show(|| line(&status));
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether the second pass has dealt with everything that came and went, and stands at the head or waits for a payload.
pub fn has_followed(status: &Value) -> bool {
    let private = &status["private"];
    let behind = private["head"]["number"].as_u64() < status["publicHead"].as_u64();
    status["followed"] == true && (!behind || !private["waiting"].is_null())
}

/// Where the second pass stands, in words.
pub fn second_pass(status: &Value) -> String {
    let private = &status["private"];
    let at = format!("at block {} of {}", private["head"]["number"], status["publicHead"]);
    match private["waiting"].as_object() {
        Some(waiting) => format!(
            "{at}, waiting since {} s at block {}: {}",
            waiting["seconds"],
            waiting["number"],
            waiting["reason"].as_str().unwrap_or_default()
        ),
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn followed_is_what_stands_at_the_head_or_waits() {
        let waiting = json!({ "number": 4, "seconds": 7, "reason": "the disk is slow" });
        let status = |followed, number, waiting: Value| json!({ "followed": followed, "publicHead": 9, "private": { "head": { "number": number }, "waiting": waiting } });
        assert!(has_followed(&status(true, 9, Value::Null)));
        assert!(has_followed(&status(true, 3, waiting.clone())));
        assert!(!has_followed(&status(false, 9, Value::Null)));
        assert!(!has_followed(&status(true, 3, Value::Null)));
        assert_eq!(second_pass(&status(true, 9, Value::Null)), "at block 9 of 9");
        let text = second_pass(&status(true, 3, waiting));
        assert_eq!(text, "at block 3 of 9, waiting since 7 s at block 4: the disk is slow");
    }
}
