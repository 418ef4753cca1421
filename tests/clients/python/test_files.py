"""Files and batches: kept by the resource that took them, for the caller who brought them."""

import json

import openai
import pytest

from forms import done, events

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
    assert batch.id in [listed.id for listed in await events(client.batches.list(limit=20))]
    finished = await done(client.batches.retrieve(batch.id))
    assert finished.status == "completed" and finished.errors is None
    answers = (await done(client.files.content(finished.output_file_id))).text
    assert json.loads(answers)["response"]["body"]["model"] == "gpt-4.1"
    assert (await done(client.batches.cancel(batch.id))).status == "cancelling"


async def test_own_files_are_listed_page_by_page(sdk):
    files = sdk.client(MODEL).files
    made = {(await done(files.create(file=("a.txt", b"text"), purpose="user_data"))).id for _ in range(3)}
    listed = [file.id for file in await events(files.list(limit=2))]
    assert made <= set(listed) and len(listed) == len(set(listed))
    for id in made:
        assert (await done(files.delete(id))).deleted
    assert not made & {file.id for file in await events(files.list(purpose="user_data"))}


async def test_what_others_brought_is_not_listed(one, stack):
    client = one.with_key(stack.keys["narrow"]).client(MODEL)
    assert [await events(objects.list()) for objects in (client.files, client.batches, client.videos)] == [[], [], []]


async def test_an_upload_in_parts_becomes_a_file(sdk):
    client = sdk.client(MODEL)
    asked = {"filename": "a.txt", "purpose": "user_data", "bytes": 8, "mime_type": "text/plain"}
    upload = await done(client.uploads.create(**asked))
    parts = [await done(client.uploads.parts.create(upload.id, data=data)) for data in (b"some", b"more")]
    finished = await done(client.uploads.complete(upload.id, part_ids=[part.id for part in parts]))
    assert finished.status == "completed" and finished.id == upload.id
    assert (await done(client.files.content(finished.file.id))).content == b"somemore"
    other = await done(client.uploads.create(**asked))
    assert (await done(client.uploads.cancel(other.id))).status == "cancelled"
