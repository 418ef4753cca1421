"""Responses through every client form: made, streamed, gone on with, retrieved, cancelled, deleted, compacted and counted."""

import openai
import pytest

from forms import done, events

MODEL = "reasoner"
WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "strict": False,
}


def responses(sdk, **options):
    return sdk.client(MODEL, **options).responses


async def test_a_response_comes_whole(sdk):
    answer = await done(responses(sdk).create(model=MODEL, input="Hello"))
    assert answer.output_text == "You said: Hello" and answer.model == MODEL and answer.status == "completed"
    assert answer.usage.output_tokens_details.reasoning_tokens > 0


async def test_a_response_streams_to_its_end(sdk):
    stream = await events(responses(sdk).create(model=MODEL, input="Hello", stream=True))
    assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == "You said: Hello"
    assert [event.sequence_number for event in stream] == list(range(len(stream)))
    assert stream[-1].type == "response.completed" and stream[-1].response.model == MODEL


async def test_a_conversation_goes_on_by_id_and_by_items(sdk):
    create = responses(sdk).create
    first = await done(create(model=MODEL, input="One"))
    second = await done(create(model=MODEL, input="Two", previous_response_id=first.id))
    assert second.output_text == "Going on, you said: Two" and second.previous_response_id == first.id
    items = [*first.output, {"role": "user", "content": "Three"}]
    assert (await done(create(model=MODEL, input=items))).output_text == "You said: Three"


async def test_encrypted_reasoning_is_taken_back(sdk):
    create = responses(sdk).create
    options = {"model": MODEL, "store": False, "include": ["reasoning.encrypted_content"]}
    first = await done(create(input="Think", **options))
    assert first.output[0].encrypted_content
    items = [*first.output, {"role": "user", "content": "More"}]
    assert (await done(create(input=items, **options))).output_text == "You said: More"


async def test_functions_are_called_and_answered(sdk):
    create = responses(sdk).create
    asked = await done(create(model=MODEL, input="Weather?", tools=[WEATHER], tool_choice="required"))
    call = next(item for item in asked.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}
    answer = await done(create(model=MODEL, input=[*asked.output, result], tools=[WEATHER]))
    assert answer.output_text == "The tool answered."


async def test_what_is_stored_is_retrieved_listed_and_deleted(sdk):
    client = responses(sdk)
    made = await done(client.create(model=MODEL, input="Keep"))
    assert (await done(client.retrieve(made.id))).output_text == "You said: Keep"
    assert len((await done(client.input_items.list(made.id))).data) == 1
    await done(client.delete(made.id))
    with pytest.raises(openai.NotFoundError):
        await done(client.retrieve(made.id))


async def test_a_background_response_is_cancelled(sdk):
    client = responses(sdk)
    made = await done(client.create(model=MODEL, input="[[never-ends]]", background=True))
    assert made.status == "queued"
    assert (await done(client.cancel(made.id))).status == "cancelled"


async def test_input_is_counted_and_compacted(one):
    client = responses(one)
    assert (await done(client.input_tokens.count(model=MODEL, input="one two three"))).input_tokens > 0
    compacted = await done(client.compact(model=MODEL, input="A long story"))
    items = [item.model_dump(exclude_none=True) for item in compacted.output]
    assert (await done(client.create(model=MODEL, input=items))).status == "completed"


async def test_a_broken_stream_ends_as_a_response_that_failed(one):
    options = {"extra_headers": {"x-sim-fault": "close-after-events=12"}}
    stream = await events(responses(one).create(model=MODEL, input="one two three four", stream=True, **options))
    assert stream[-1].type == "response.failed" and stream[-1].response.error.code == "upstream_broken"


async def test_nobody_reaches_the_responses_of_another_key(one, stack):
    made = await done(responses(one).create(model=MODEL, input="Secret"))
    stranger = responses(one.with_key(stack.keys["v1"]))
    with pytest.raises(openai.NotFoundError):
        await done(stranger.retrieve(made.id))
    with pytest.raises(openai.BadRequestError) as refused:
        await done(stranger.create(model=MODEL, input="On", previous_response_id=made.id))
    assert refused.value.code == "previous_response_not_found"
