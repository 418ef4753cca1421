//! Tests of operation.
