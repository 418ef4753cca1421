"""Chat completions through every client form: what the SDK makes of the answer, whole and streamed."""

import json

import pytest
from pydantic import BaseModel

from forms import done, events, final_completion

# An alias: the deployment behind it has another name.
MODEL = "gpt-4o"
HELLO = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Say hello to Zoë 👋"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Event(BaseModel):
    name: str
    participants: list[str]


def chat(sdk, **options):
    return sdk.client(MODEL).chat.completions.create(**{"model": MODEL, "messages": HELLO} | options)


def text(chunks) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.delta)


def finish_reasons(chunks) -> list[str]:
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


async def test_an_answer_comes_whole(sdk):
    answer = await done(chat(sdk))
    assert answer.object == "chat.completion" and answer.model == MODEL
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


async def test_a_stream_is_the_same_text_and_ends_once(sdk):
    whole = await done(chat(sdk))
    chunks = await events(chat(sdk, stream=True))
    assert text(chunks) == whole.choices[0].message.content and len(chunks) > 3
    assert finish_reasons(chunks) == ["stop"]
    assert {chunk.model for chunk in chunks} <= {MODEL, ""}
    assert [chunk.usage for chunk in chunks if chunk.usage] == [], "usage came unasked"
    assert all(chunk.choices or chunk.model_extra.get("prompt_filter_results") for chunk in chunks), "an empty chunk"


async def test_usage_comes_once_when_asked_for(sdk):
    whole = await done(chat(sdk))
    chunks = await events(chat(sdk, stream=True, stream_options={"include_usage": True}))
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [whole.usage.total_tokens]
    assert chunks[-1].choices == [] and chunks[-1].usage
    assert text(chunks) == whole.choices[0].message.content


async def test_usage_declined_is_not_sent(one):
    chunks = await events(chat(one, stream=True, stream_options={"include_usage": False}))
    assert [chunk.usage for chunk in chunks if chunk.usage] == []


@pytest.mark.parametrize("tool_choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=str)
async def test_a_tool_is_called_and_its_result_answered(sdk, tool_choice):
    first = await done(chat(sdk, tools=[WEATHER], tool_choice=tool_choice))
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    second = await done(chat(sdk, tools=[WEATHER], messages=[*HELLO, message.to_dict(), result]))
    assert second.choices[0].message.content and second.choices[0].finish_reason == "stop"


async def test_the_streaming_accumulator_puts_a_tool_call_together(sdk):
    stream = sdk.client(MODEL).chat.completions.stream(
        model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="required", stream_options={"include_usage": True}
    )
    seen, completion = await final_completion(stream)
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == "get_weather" and "city" in call.function.parsed_arguments
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= {event.type for event in seen}
    assert completion.usage and completion.choices[0].finish_reason == "tool_calls"


async def test_parallel_tool_calls_stay_apart(one):
    messages = [{"role": "user", "content": "Zürich and Oslo? [[calls=3]]"}]
    stream = one.client(MODEL).chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER])
    _, completion = await final_completion(stream)
    calls = completion.choices[0].message.tool_calls
    assert len(calls) == len({call.id for call in calls}) == 3
    assert all("city" in call.function.parsed_arguments for call in calls)


async def test_a_refusal_arrives_as_one(one):
    messages = [{"role": "user", "content": "[[refuse]]"}]
    answer = await done(one.client(MODEL).chat.completions.parse(model=MODEL, messages=messages, response_format=Event))
    assert answer.choices[0].message.refusal and answer.choices[0].message.parsed is None


async def test_a_filtered_completion_keeps_its_partial_text(sdk):
    messages = [{"role": "user", "content": "Tell me a story. [[filter-completion]]"}]
    whole = await done(chat(sdk, messages=messages))
    assert whole.choices[0].finish_reason == "content_filter"
    chunks = await events(chat(sdk, messages=messages, stream=True))
    assert finish_reasons(chunks) == ["content_filter"]


async def test_a_pydantic_model_is_filled(sdk):
    answer = await done(
        sdk.client(MODEL).chat.completions.parse(model=MODEL, messages=HELLO, response_format=Event)
    )
    assert isinstance(answer.choices[0].message.parsed, Event)


async def test_a_pydantic_model_is_filled_from_a_stream(one):
    stream = one.client(MODEL).chat.completions.stream(model=MODEL, messages=HELLO, response_format=Event)
    _, completion = await final_completion(stream)
    assert isinstance(completion.choices[0].message.parsed, Event)


async def test_json_object_is_json(sdk):
    messages = [{"role": "user", "content": "Answer in JSON."}]
    answer = await done(chat(sdk, messages=messages, response_format={"type": "json_object"}))
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


async def test_several_choices_survive(sdk):
    answer = await done(chat(sdk, n=2))
    assert [choice.index for choice in answer.choices] == [0, 1]
    chunks = await events(chat(sdk, n=2, stream=True))
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}
    assert finish_reasons(chunks) == ["stop", "stop"]


async def test_log_probabilities_survive(sdk):
    answer = await done(chat(sdk, logprobs=True, top_logprobs=2))
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2
    chunks = await events(chat(sdk, logprobs=True, top_logprobs=2, stream=True))
    assert any(choice.logprobs and choice.logprobs.content for chunk in chunks for choice in chunk.choices)


async def test_a_token_limit_is_reported_as_length(one):
    answer = await done(chat(one, max_completion_tokens=2))
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens <= 2


async def test_content_filter_results_survive(one):
    answer = await done(chat(one))
    assert answer.choices[0].model_extra["content_filter_results"]["hate"]["filtered"] is False
    assert answer.model_extra["prompt_filter_results"][0]["prompt_index"] == 0


async def test_unknown_fields_reach_the_model(one, stack):
    marker = "unknown-field-of-the-future"
    await done(chat(one, extra_body={"metadata": {"note": marker}, "store": False}))
    assert marker in stack.received()[-1]["body"]
