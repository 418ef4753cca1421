//! Tests of sse.
