//! Bounds of what is told, and of the time it takes.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls another for ever.
fn calls_for_ever() -> Vec<u8> {
    let call = call_of(CALL, OTHER, 0, 0);
    [vec![JUMPDEST], call, vec![POP, PUSH1, 0, JUMP]].concat()
}

#[test]
fn what_is_told_is_bounded_while_it_is_collected() {
    let slots = [vec![JUMPDEST, GAS, SLOAD, POP, PUSH1, 0, JUMP]].concat();
    let cases = [
        (loops(), json!({})),
        (slots.clone(), json!({})),
        (calls_for_ever(), calls()),
        (calls_for_ever(), json!({ "tracer": "muxTracer", "tracerConfig": { "callTracer": null } })),
        (slots, json!({ "tracer": "prestateTracer" })),
    ];
    for (code, options) in cases {
        let world = World::default().with_code(CONTRACT, code);
        let tracing = tracing(options.clone()).within(20_000);
        let tx = [signed(&key(1), TxLegacy { gas_limit: 16_000_000, ..send(0, CONTRACT) })];
        let error = trace(&world, rules(Fork::Osaka), &tx, &tracing).unwrap_err();
        assert_eq!(error, TraceError::TooLong { bytes_max: 20_000 }, "{options}");
        assert!(error.to_string().contains("disableStack"));
    }
    // What is not wanted does not count.
    let world = World::default().with_code(CONTRACT, calls_for_ever());
    let tx = [signed(&key(1), TxLegacy { gas_limit: 1_000_000, ..send(0, CONTRACT) })];
    for options in [
        json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": true } }),
        json!({ "limit": 10 }),
        json!({ "tracer": "noopTracer" }),
    ] {
        trace(&world, rules(Fork::Osaka), &tx, &tracing(options).within(20_000)).unwrap();
    }
}

#[test]
fn memory_that_would_not_fit_is_not_written_down() {
    let code = [push(0xf_ffff), vec![MLOAD, POP, STOP]].concat();
    let world = World::default().with_code(CONTRACT, code);
    let tx = [signed(&key(1), TxLegacy { gas_limit: 16_000_000, ..send(0, CONTRACT) })];
    let with_memory = tracing(json!({ "enableMemory": true }));
    let error = trace(&world, rules(Fork::Osaka), &tx, &with_memory).unwrap_err();
    assert_eq!(error, TraceError::TooLong { bytes_max: BYTES_MAX });
    assert_eq!(told(&world, &tx, json!({}))["structLogs"].as_array().unwrap().len(), 4);
}

#[test]
fn the_time_is_limited() {
    let world = World::default().with_code(CONTRACT, loops());
    let tx = signed(&key(1), TxLegacy { gas_limit: 16_000_000, ..send(0, CONTRACT) });
    let no_time = || Duration::ZERO;
    let mut replay = BlockReplay::new(rules(Fork::Osaka), env(Fork::Osaka), &world, &no_time);
    assert_eq!(replay.pass(&tx), Err(TraceError::Stopped));
    for looked_at in [false, true] {
        let asked = AtomicUsize::new(0);
        let some_time = || match asked.fetch_add(1, Ordering::Relaxed) {
            0..3 => Duration::MAX,
            _ => Duration::ZERO,
        };
        let mut replay = BlockReplay::new(rules(Fork::Osaka), env(Fork::Osaka), &world, &some_time);
        let error = match looked_at {
            false => replay.pass(&tx).unwrap_err(),
            true => replay.trace(&tx, &tracing(calls())).unwrap_err(),
        };
        assert_eq!(error, TraceError::Stopped);
    }
}
