//! What a client may ask of an execution, in geth's words.

use super::frames::Frames;
use super::observer::Observer;
use super::steps::StepLog;
use alloy_rpc_types_trace::geth::{CallConfig, GethDefaultTracingOptions, PreStateConfig};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Longest part of what a client wrote that is told back, characters: a tracer may be a whole program.
const TOLD_BACK_CHARS: usize = 60;

/// What is asked of an execution.
#[derive(Clone, Debug)]
pub struct Tracing {
    kind: Kind,
    bytes_max: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Every step.
    Steps(GethDefaultTracingOptions),
    /// The tree of calls.
    Calls(CallConfig),
    /// The accounts before it, or what changes of them.
    Prestate(PreStateConfig),
    /// How often which functions were called.
    Selectors,
    Nothing,
    /// Several of these at once, by name.
    Several(Vec<(&'static str, Kind)>),
}

const CALLS: &str = "callTracer";
const PRESTATE: &str = "prestateTracer";
const SELECTORS: &str = "4byteTracer";
const NOTHING: &str = "noopTracer";
const SEVERAL: &str = "muxTracer";

impl Tracing {
    /// Reads the options of `debug_trace*`: `tracer` and `tracerConfig`, or those of the struct logger where no tracer is
    /// named (`limit` counts steps). Other members are passed over. The answer has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// In words what is wrong, or which tracers there are.
    pub fn new(options: &Map<String, Value>, bytes_max: usize) -> Result<Self, String> {
        let steps = || read("options", Some(&Value::Object(options.clone()))).map(Kind::Steps);
        let kind = match options.get("tracer") {
            None | Some(Value::Null) => steps()?,
            Some(Value::String(name)) if name.is_empty() => steps()?,
            Some(Value::String(name)) => named(name, options.get("tracerConfig"), true)?.1,
            Some(_) => return Err("tracer: the name of a tracer is expected".to_owned()),
        };
        Ok(Self { kind, bytes_max })
    }

    /// The same, with an answer of at most so many bytes.
    pub fn within(&self, bytes_max: usize) -> Self {
        Self { kind: self.kind.clone(), bytes_max }
    }

    /// The most bytes that the answer may have.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(crate) fn observer(&self) -> Observer {
        match &self.kind {
            Kind::Steps(options) => Observer::Steps(Box::new(StepLog::new(*options, self.bytes_max))),
            kind => Observer::Frames(Box::new(Frames::new(kind.clone(), self.bytes_max))),
        }
    }
}

/// The tracer of this name, with the name.
fn named(name: &str, config: Option<&Value>, alone: bool) -> Result<(&'static str, Kind), String> {
    Ok(match name {
        CALLS => (CALLS, Kind::Calls(read(CALLS, config)?)),
        PRESTATE => (PRESTATE, Kind::Prestate(read(PRESTATE, config)?)),
        SELECTORS => (SELECTORS, Kind::Selectors),
        NOTHING => (NOTHING, Kind::Nothing),
        SEVERAL if alone => (SEVERAL, several(config)?),
        _ => return Err(unknown(name)),
    })
}

fn several(config: Option<&Value>) -> Result<Kind, String> {
    let tracers: Map<String, Value> = read(SEVERAL, config)?;
    let tracers = tracers.iter().map(|(name, config)| named(name, Some(config), false));
    Ok(Kind::Several(tracers.collect::<Result<_, _>>()?))
}

fn read<T: DeserializeOwned + Default>(of: &str, config: Option<&Value>) -> Result<T, String> {
    let Some(config) = config.filter(|config| !config.is_null()) else { return Ok(T::default()) };
    T::deserialize(config).map_err(|error| format!("{of}: {error}"))
}

fn unknown(name: &str) -> String {
    let told: String = name.chars().take(TOLD_BACK_CHARS).collect();
    format!(
        "unknown tracer {told:?}: there are {CALLS}, {PRESTATE}, {SELECTORS}, {NOTHING} and {SEVERAL} (of the others), and \
         the struct logger where none is named. Tracers in JavaScript are not run here"
    )
}
