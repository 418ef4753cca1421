"""Files and batches: kept by the resource that took them, for the caller who brought them."""

import json

import openai
import pytest

from forms import done

MODEL = "gpt-4o"


async def test_a_file_is_uploaded_read_and_deleted(sdk):
    files = sdk.client(MODEL).files
    made = await done(files.create(file=("notes.txt", b"some notes"), purpose="user_data"))
    assert made.bytes == 10 and (await done(files.retrieve(made.id))).filename == "notes.txt"
    assert (await done(files.content(made.id))).content == b"some notes"
    assert (await done(files.delete(made.id))).deleted
    with pytest.raises(openai.NotFoundError):
        await done(files.retrieve(made.id))


async def test_a_batch_runs_with_the_models_of_its_lines_resolved(sdk):
    client = sdk.client(MODEL)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = await done(client.files.create(file=("lines.jsonl", json.dumps(line).encode()), purpose="batch"))
    options = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = await done(client.batches.create(input_file_id=file.id, **options))
    assert batch.input_file_id == file.id
    finished = await done(client.batches.retrieve(batch.id))
    assert finished.status == "completed" and finished.errors is None
    answers = (await done(client.files.content(finished.output_file_id))).text
    assert json.loads(answers)["response"]["body"]["model"] == "gpt-4.1"
    assert (await done(client.batches.cancel(batch.id))).status == "cancelling"


async def test_lists_are_refused(one):
    with pytest.raises(openai.BadRequestError) as refused:
        await done(one.client(MODEL).files.list())
    assert refused.value.code == "unsupported_operation"
