"""Embeddings, legacy completions and models through every client form."""

import pytest

from forms import done, events

EMBEDDER = "embedder"
COMPLETER = "gpt-35-turbo-instruct"


def embed(sdk, **options):
    return sdk.client(EMBEDDER).embeddings.create(**{"model": EMBEDDER, "input": ["first", "second"]} | options)


async def test_embeddings_decode_from_base64_as_from_floats(sdk):
    default = await done(embed(sdk))
    floats = await done(embed(sdk, encoding_format="float"))
    assert [item.index for item in default.data] == [0, 1] and len(default.data[0].embedding) == 1536
    assert default.data[1].embedding == pytest.approx(floats.data[1].embedding, abs=1e-6)
    assert default.data[0].embedding != default.data[1].embedding
    assert default.model == EMBEDDER and default.usage.prompt_tokens > 0


async def test_embeddings_take_dimensions(sdk):
    answer = await done(embed(sdk, dimensions=256))
    assert len(answer.data[0].embedding) == 256


@pytest.mark.parametrize("tokens, count", [([15339, 1917], 1), ([[15339], [1917, 0]], 2)], ids=["one list", "two lists"])
async def test_embeddings_take_tokens(sdk, tokens, count):
    assert len((await done(embed(sdk, input=tokens))).data) == count


async def test_legacy_completions_come_whole_and_streamed(sdk):
    complete = sdk.client(COMPLETER).completions.create
    whole = await done(complete(model=COMPLETER, prompt="Once upon a time", max_tokens=64))
    chunks = await events(complete(model=COMPLETER, prompt="Once upon a time", max_tokens=64, stream=True))
    assert whole.object == "text_completion" and whole.model == COMPLETER and whole.choices[0].text
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]


async def test_models_are_listed_and_retrieved(sdk):
    client = sdk.client("gpt-4o")
    models = [model.id for model in await events(client.models.list())]
    assert {"gpt-4o", "reasoner", EMBEDDER} <= set(models) and len(models) == len(set(models))
    model = await done(client.models.retrieve("gpt-4o"))
    assert model.id == "gpt-4o" and model.object == "model"


def test_models_are_those_that_the_key_may_use(one, stack):
    client = one.with_key(stack.keys["narrow"]).client("gpt-4o-mini")
    models = [model.id for model in client.models.list()]
    assert "gpt-4o" not in models and "reasoner" not in models
