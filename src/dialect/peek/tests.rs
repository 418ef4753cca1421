//! Tests of peek.
