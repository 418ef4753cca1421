//! Tests of splice.
