//! Tests of chat/stream.
