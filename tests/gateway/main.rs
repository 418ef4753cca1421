//! The gateway as a process in front of the simulated Azure, one file per behaviour.
#![cfg(test)]

mod attempts;
mod balance;
mod callers;
mod certificates;
mod chat;
mod command_line;
mod connections;
mod direct;
mod disconnect;
mod dns;
mod fallbacks;
mod honest_ends;
mod hostile;
mod http2_upstream;
mod interim_answers;
mod keep_alive;
mod large_bodies;
mod media;
mod messages;
mod models;
mod name_server;
mod operations;
mod refusals;
mod reload;
mod responses;
mod secrets;
mod selection;
mod slow_callers;
mod streams;
mod support;
mod telemetry;
mod tls_listener;
mod translation;
mod transparency;
