"""What the gateway adds to an answer, what it passes on, and which model name comes back."""

import pytest

from forms import Sdk, done, events

HELLO = [{"role": "user", "content": "hello"}]


async def test_headers_say_where_the_answer_came_from(sdk, stack):
    client = sdk.client("gpt-4o")
    options = {"model": "gpt-4o", "messages": HELLO, "extra_headers": {"x-request-id": "caller-chose-this-1"}}
    raw = await done(client.chat.completions.with_raw_response.create(**options))
    upstream = next(name for name, key in stack.keys.items() if key == sdk.key)
    expected = {
        "x-request-id": "caller-chose-this-1",
        "x-azgate-key": upstream,
        "x-azgate-deployment": "gpt-4.1",
        "x-azgate-attempts": "1",
    }
    assert {name: raw.headers.get(name) for name in expected} == expected
    assert raw.headers["apim-request-id"] and raw.headers["x-ratelimit-remaining-requests"]
    assert (await done(raw.parse())).choices[0].message.content


async def test_an_answer_without_a_caller_id_gets_one(one):
    client = one.client("gpt-4o")
    ids = {(await done(client.chat.completions.create(model="gpt-4o", messages=HELLO)))._request_id for _ in range(3)}
    assert len(ids) == 3 and None not in ids


@pytest.mark.parametrize("asked", ["gpt-4o", "GPT-4o", "azure/gpt-4o", "azure/GPT-4o", "Azure/gpt-4O"])
@pytest.mark.parametrize("upstream", ["classic", "v1"])
@pytest.mark.parametrize("form", ["OpenAI /v1", "Azure endpoint"])
async def test_the_model_comes_back_as_the_caller_spelled_it(stack, form, upstream, asked):
    client = Sdk(stack.gateway, stack.keys[upstream], form).client(asked)
    answer = await done(client.chat.completions.create(model=asked, messages=HELLO))
    assert answer.model == asked
    chunks = await events(client.chat.completions.create(model=asked, messages=HELLO, stream=True))
    assert {chunk.model for chunk in chunks if chunk.model} == {asked}


async def test_both_keys_share_the_load_by_weight(one):
    create = one.client("gpt-4o").chat.completions.with_raw_response.create
    keys = [(await done(create(model="gpt-4o", messages=HELLO))).headers["x-azgate-key"] for _ in range(16)]
    assert (keys.count("classic"), keys.count("v1")) == (12, 4)
