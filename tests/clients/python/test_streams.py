"""Streams that are odd, slow, broken or left: nothing is lost, nothing is delayed, and a broken one is never a silent end."""

import asyncio
import time

import openai
import pytest

from forms import Sdk, done, events
from test_chat import MODEL, chat, finish_reasons, text

ODD = ["split=1", "split=7", "crlf", "cr", "no-space", "bom", "comments", "multi-line", "no-delta", "async-filter"]
BROKEN = ["close", "reset", "truncate", "stream-reset"]


def faulty(sdk, fault, **options):
    return chat(sdk, stream=True, extra_headers={"x-sim-fault": fault}, **options)


@pytest.mark.parametrize("fault", ODD)
@pytest.mark.parametrize("usage", [True, False], ids=["usage asked", "usage not asked"])
async def test_an_odd_stream_loses_nothing(one, fault, usage):
    whole = await done(chat(one))
    chunks = await events(faulty(one, fault, stream_options={"include_usage": usage}))
    assert text(chunks) == whole.choices[0].message.content and finish_reasons(chunks) == ["stop"]
    assert len([chunk.usage for chunk in chunks if chunk.usage]) == int(usage)


async def test_a_stream_compressed_unasked_is_still_read(one):
    """The gateway asks for plain text; what comes compressed all the same goes through as it is."""
    whole = await done(chat(one))
    assert text(await events(faulty(one, "gzip"))) == whole.choices[0].message.content


async def test_text_that_the_filter_cuts_off_says_so(sdk):
    chunks = await events(faulty(sdk, "async-filter=blocked"))
    assert finish_reasons(chunks) == ["content_filter"]


@pytest.mark.parametrize("ending", BROKEN)
async def test_a_broken_stream_raises(sdk, ending):
    seen = await until_broken(faulty(sdk, f"{ending}-after-events=4"))
    assert text(seen), "what came before the break is delivered"


async def test_a_stream_that_falls_silent_raises(one):
    seen = await until_broken(faulty(one, "stall-after-events=4"))
    assert text(seen), "what came before the silence is delivered"


async def test_an_error_event_raises(sdk):
    seen = await until_broken(faulty(sdk, "error-event-at=4"))
    assert text(seen), "what came before the error is delivered"


async def until_broken(stream) -> list:
    """The chunks before the error; a stream that ends without one fails the test."""
    stream, seen = await done(stream), []
    with pytest.raises(openai.APIError):
        if hasattr(stream, "__aiter__"):
            async for chunk in stream:
                seen.append(chunk)
        else:
            for chunk in stream:
                seen.append(chunk)
    return seen


def paced(sdk, milliseconds):
    return chat(sdk, stream=True, extra_headers={"x-sim-event-interval-ms": str(milliseconds)})


def test_events_are_not_held_back(one):
    """A gateway that buffers hands all chunks over at the end."""
    times = [time.monotonic() for _ in paced(one, 20)]
    assert times[-1] - times[0] > 0.010 * (len(times) - 4) > 0


async def test_many_streams_do_not_mix(stack):
    clients = [Sdk(stack.gateway, stack.keys["any"], form, True) for form in ("OpenAI /v1", "Azure endpoint")]
    prompts = [f"Tell me the story of number {number}" for number in range(30)]

    async def ask(number, prompt):
        sdk, messages = clients[number % 2], [{"role": "user", "content": prompt}]
        whole, chunks = await asyncio.gather(chat(sdk, messages=messages), events(chat(sdk, messages=messages, stream=True)))
        return whole.choices[0].message.content, text(chunks)

    answers = await asyncio.gather(*(ask(*pair) for pair in enumerate(prompts)))
    assert all(whole == streamed for whole, streamed in answers)


@pytest.mark.parametrize("form", ["OpenAI /v1", "Azure endpoint"])
async def test_a_caller_who_leaves_ends_the_upstream_request(stack, form):
    sdk = Sdk(stack.gateway, stack.keys["any"], form, True)
    stream = await paced(sdk, 200)
    await anext(aiter(stream))
    await stream.close()
    for _ in range(20):
        last = stack.received()[-1]
        if last["outcome"] != "in_progress":
            break
        await asyncio.sleep(0.05)
    assert last["outcome"] == "caller_left"


def test_the_model_is_named_in_every_event_with_one(one):
    names = {chunk.model for chunk in faulty(one, "async-filter") if chunk.model}
    assert names == {MODEL}
