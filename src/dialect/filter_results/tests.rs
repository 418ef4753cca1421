//! Tests of filter_results.
