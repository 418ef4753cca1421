//! What callers are told before there is a request to answer: texts as they go over the wire. Nobody knows yet which
//! dialect they speak, so it is OpenAI's shape, from which every SDK takes status and message.

macro_rules! answer {
    ($status:literal, $code:literal, $headers:literal, $message:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\ncontent-type: application/json\r\nconnection: close\r\n",
            $headers,
            "\r\n{\"error\":{\"message\":\"",
            $message,
            "\",\"type\":\"invalid_request_error\",\"code\":\"",
            $code,
            "\",\"param\":null}}\n"
        )
        .as_bytes()
    };
}

// The bodies end with the connection, so that no length has to be kept right by hand.
pub const HEAD_TOO_LARGE: &[u8] = answer!(
    "431 Request Header Fields Too Large",
    "headers_too_large",
    "",
    "the request's headers are larger than 64 KiB"
);

pub const HEAD_TOO_SLOW: &[u8] =
    answer!("408 Request Timeout", "request_timeout", "", "the request's headers did not arrive within 10 s");

pub const TOO_MANY: &[u8] = answer!(
    "503 Service Unavailable",
    "overloaded",
    "retry-after: 1\r\nretry-after-ms: 1000\r\n",
    "the gateway has as many connections as it is allowed to have"
);

/// The same where callers speak TLS, before any handshake: the fatal alert `internal_error` (RFC 8446, section 6.2). A
/// handshake only to say so would cost more than serving.
pub const TOO_MANY_FOR_TLS: &[u8] = &[ALERT, 3, 3, 0, 2, FATAL, INTERNAL_ERROR];

const ALERT: u8 = 21;
const FATAL: u8 = 2;
const INTERNAL_ERROR: u8 = 80;
