//! Single bytes of a node's files flipped.
