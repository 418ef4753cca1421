//! Numbers and times within the ranges in which they make sense.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use crate::config::{
    file::{Budget, CircuitBreaker, File, HealthCheck, NetworkConfig, Price, RateLimit, Server},
    read::Place,
};

/// Longest timeout.
const DAY: Duration = Duration::from_secs(86_400);

/// Shortest time that a timeout may be: less would refuse everything.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Most upstream requests that one request may cause.
const ATTEMPTS: u32 = 16;

/// More than anybody spends, and exact when counted in millionths.
const DEAREST: f64 = 1e9;

pub fn check(file: &File, root: &Place<'_>) {
    check_server(&file.server, &root.member("server"));
    for (name, provider) in file.providers.iter() {
        let place = root.member("providers").member(name);
        check_network(&provider.network_config, &place.member("network_config"));
        check_breaker(&provider.circuit_breaker, &place.member("circuit_breaker"));
        check_health(&provider.health_check, &place.member("health_check"));
        for (index, key) in provider.keys.iter().enumerate() {
            check_rate(&key.rate_limit, &place.member("keys").element(index).member("rate_limit"));
        }
    }
    check_governance(file, &root.member("governance"));
    for (model, price) in file.pricing.iter() {
        check_price(price, &root.member("pricing").member(model));
    }
    let logs = root.member("logs_store");
    within(file.logs_store.retention_days, 1..=3650, &logs.member("retention_days"));
    within(file.logs_store.max_megabytes, 1..=1_048_576, &logs.member("max_megabytes"));
    if file.logs_store.kind == crate::config::file::LogsStoreKind::Postgres && file.logs_store.url.is_none() {
        logs.member("url").error("the address of the database is missing; add `url`, usually as a reference");
    }
    if let Some(shared) = &file.shared_state {
        let place = root.member("shared_state").member("url");
        match &shared.url {
            None => place.error("the address of the store is missing; add `url`, usually as a reference"),
            Some(url) => {
                if let Err(why) = crate::governance::check_address(url.expose()) {
                    place.error(format!("{why}; write `redis://` or `rediss://` with user, password, host and port"));
                }
            }
        }
    }
}

fn check_server(server: &Server, place: &Place<'_>) {
    within(server.max_request_body_mb, 1..=1024, &place.member("max_request_body_mb"));
    within(server.max_connections, 0..=10_000_000, &place.member("max_connections"));
    within(server.max_connections_per_address, 0..=10_000_000, &place.member("max_connections_per_address"));
    within(server.worker_threads, 0..=1024, &place.member("worker_threads"));
    at_most_a_day(server.shutdown_grace_seconds, &place.member("shutdown_grace_seconds"));
}

fn check_network(network: &NetworkConfig, place: &Place<'_>) {
    for (name, timeout) in [
        ("default_request_timeout_in_seconds", network.default_request_timeout_in_seconds),
        ("connect_timeout_in_seconds", network.connect_timeout_in_seconds),
        ("first_byte_timeout_in_seconds", network.first_byte_timeout_in_seconds),
        ("stream_idle_timeout_in_seconds", network.stream_idle_timeout_in_seconds),
    ] {
        timeout_within_a_day(timeout, &place.member(name));
    }
    within(network.max_retries, 0..=ATTEMPTS, &place.member("max_retries"));
    within(network.max_conns_per_host, 1..=100_000, &place.member("max_conns_per_host"));
    timeout_within_a_day(network.retry_backoff_initial, &place.member("retry_backoff_initial"));
    timeout_within_a_day(network.retry_backoff_max, &place.member("retry_backoff_max"));
    if network.retry_backoff_max < network.retry_backoff_initial {
        place.member("retry_backoff_max").error("this is less than `retry_backoff_initial`; expected at least as much");
    }
}

fn check_breaker(breaker: &CircuitBreaker, place: &Place<'_>) {
    if !(breaker.failure_ratio > 0.0 && breaker.failure_ratio <= 1.0) {
        place.member("failure_ratio").error("this share is out of range; expected a number above 0 and up to 1");
    }
    within(breaker.min_requests, 1..=1_000_000, &place.member("min_requests"));
    timeout_within_a_day(breaker.window_seconds, &place.member("window_seconds"));
    timeout_within_a_day(breaker.open_seconds, &place.member("open_seconds"));
}

fn check_health(health: &HealthCheck, place: &Place<'_>) {
    timeout_within_a_day(health.interval_seconds, &place.member("interval_seconds"));
    timeout_within_a_day(health.timeout_seconds, &place.member("timeout_seconds"));
    within(health.unhealthy_threshold, 1..=1000, &place.member("unhealthy_threshold"));
    within(health.healthy_threshold, 1..=1000, &place.member("healthy_threshold"));
}

fn check_governance(file: &File, place: &Place<'_>) {
    let keys = file.governance.virtual_keys.iter().map(|key| (&key.budget, &key.rate_limit));
    let teams = file.governance.teams.iter().map(|team| (&team.budget, &team.rate_limit));
    let customers = file.governance.customers.iter().map(|customer| (&customer.budget, &customer.rate_limit));
    check_all("virtual_keys", keys, place);
    check_all("teams", teams, place);
    check_all("customers", customers, place);
}

fn check_all<'a>(name: &str, limits: impl Iterator<Item = (&'a Budget, &'a RateLimit)>, place: &Place<'_>) {
    let list = place.member(name);
    for (index, (budget, rate)) in limits.enumerate() {
        let place = list.element(index);
        check_budget(budget, &place.member("budget"));
        check_rate(rate, &place.member("rate_limit"));
    }
}

fn check_budget(budget: &Budget, place: &Place<'_>) {
    for (name, limit) in [
        ("daily_limit_usd", budget.daily_limit_usd),
        ("weekly_limit_usd", budget.weekly_limit_usd),
        ("monthly_limit_usd", budget.monthly_limit_usd),
        ("total_limit_usd", budget.total_limit_usd),
    ] {
        dollars(limit.unwrap_or(0.0), &place.member(name));
    }
}

fn check_rate(rate: &RateLimit, place: &Place<'_>) {
    for (name, limit) in [
        ("requests_per_minute", rate.requests_per_minute),
        ("requests_per_hour", rate.requests_per_hour),
        ("requests_per_day", rate.requests_per_day),
        ("tokens_per_minute", rate.tokens_per_minute),
        ("tokens_per_hour", rate.tokens_per_hour),
        ("tokens_per_day", rate.tokens_per_day),
        ("concurrent_requests", rate.concurrent_requests),
    ] {
        if limit == Some(0) {
            place.member(name).error("a limit of 0 refuses everything; use 1 or more, or leave it out for no limit");
        } else if limit.is_some_and(|limit| limit > 1_000_000_000_000) {
            place.member(name).error("this limit is out of range; leave it out for no limit");
        }
    }
}

fn check_price(price: &Price, place: &Place<'_>) {
    for name in ["input_per_million", "output_per_million"] {
        if !place.member(name).is_present() {
            place.member(name).error(format!("`{name}` is missing; add it, or 0 where it costs nothing"));
        }
    }
    for (name, amount) in [
        ("input_per_million", price.input_per_million),
        ("cached_input_per_million", price.cached_input_per_million.unwrap_or(0.0)),
        ("cache_write_per_million", price.cache_write_per_million.unwrap_or(0.0)),
        ("output_per_million", price.output_per_million),
        ("reasoning_per_million", price.reasoning_per_million.unwrap_or(0.0)),
    ] {
        dollars(amount, &place.member(name));
    }
}

fn dollars(amount: f64, place: &Place<'_>) {
    if !(0.0..=DEAREST).contains(&amount) {
        place.error("this amount is out of range; expected US dollars, 0 or more");
    }
}

fn within<T: PartialOrd + Display>(number: T, range: RangeInclusive<T>, place: &Place<'_>) {
    if !range.contains(&number) {
        let (least, greatest) = range.into_inner();
        place.error(format!("{number} is out of range; expected {least} to {greatest}"));
    }
}

fn timeout_within_a_day(time: Duration, place: &Place<'_>) {
    if time < MILLISECOND {
        place.error("this time is too short; expected more than 0");
    }
    at_most_a_day(time, place);
}

fn at_most_a_day(time: Duration, place: &Place<'_>) {
    if time > DAY {
        place.error("this time is longer than a day; expected less");
    }
}
