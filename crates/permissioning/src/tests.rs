mod rules;
pub(crate) mod world;
