//! Request bodies of the sizes that callers send, made up.

#[allow(dead_code, reason = "not every bench goes through all of them")]
pub const NAMES: [&str; 3] = ["chat 1k", "agent 100k", "image 1m"];

pub fn named(name: &str) -> Vec<u8> {
    match name {
        "chat 1k" => chat_1k(),
        "agent 100k" => agent_100k(),
        _ => image_1m(),
    }
}

/// A short chat request.
fn chat_1k() -> Vec<u8> {
    let text = "Explain the difference between \\\"latency\\\" and throughput,\\nwith an example. ".repeat(9);
    format!(
        r#"{{"messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{text}"}}],"model":"gpt-4o","temperature":0.7,"stream":true,"stream_options":{{"include_usage":true}},"max_completion_tokens":512,"user":"u-1"}}"#
    )
    .into_bytes()
}

/// A coding agent's request: a long system prompt, tools with schemas, a conversation with tool calls and files.
fn agent_100k() -> Vec<u8> {
    let tools: Vec<String> = (0..24).map(tool).collect();
    let turns: Vec<String> = (0..16).map(turn).collect();
    let system = "You are an agent for \\\"software engineering\\\" tasks.\\n\\n# Tone\\nBe concise: answer in fewer than 4 lines.\\n- Never guess URLs.\\n".repeat(90);
    format!(
        r#"{{"model":"claude-sonnet-4-6","max_tokens":32000,"system":[{{"type":"text","text":"{system}","cache_control":{{"type":"ephemeral"}}}}],"tools":[{}],"messages":[{}],"metadata":{{"user_id":"user_1"}},"thinking":{{"type":"enabled","budget_tokens":10000}},"stream":true}}"#,
        tools.join(","),
        turns.join(",")
    )
    .into_bytes()
}

/// A picture of a megabyte in base64.
fn image_1m() -> Vec<u8> {
    let image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA".repeat(14_500);
    format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":[{{"type":"text","text":"What is this?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}],"stream":false}}"#
    )
    .into_bytes()
}

fn tool(number: usize) -> String {
    let description = "Runs a command in a shell.\\n\\nUsage notes:\\n  - Quote paths with spaces: cd \\\"/a b\\\"\\n  - Prefer absolute paths.\\n".repeat(9);
    format!(
        r#"{{"name":"Tool{number}","description":"{description}","input_schema":{{"type":"object","properties":{{"command":{{"type":"string","description":"The command to run"}},"timeout":{{"type":"number","description":"Milliseconds, at most 600000"}},"paths":{{"type":"array","items":{{"type":"string"}},"minItems":1}}}},"required":["command"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}}}}"#
    )
}

fn turn(number: usize) -> String {
    let file =
        "     1\\tuse std::io;\\n     2\\tfn main() -> io::Result<()> {\\n     3\\t    println!(\\\"{}\\\", 1);\\n"
            .repeat(40);
    format!(
        r#"{{"role":"assistant","content":[{{"type":"text","text":"I will read the file."}},{{"type":"tool_use","id":"toolu_{number}","name":"Read","input":{{"file_path":"/src/main.rs","limit":100}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"toolu_{number}","content":[{{"type":"text","text":"{file}"}}]}}]}}"#
    )
}
