// Images, audio, files, uploads, batches and videos through every client form of the Node SDK.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import { client, everyForm } from './forms.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();
const of = (options, model) => client(stack, options.form, { ...options, model });

everyForm(test, 'sound is spoken and heard', async (options) => {
  const speech = await of(options, 'tts').audio.speech.create({ model: 'tts', input: 'Hello', voice: 'alloy' });
  assert.equal((await speech.arrayBuffer()).byteLength, 5 * 256);
  const { transcriptions } = of(options, 'whisper').audio;
  const file = await toFile(Buffer.alloc(5000, 'RIFF\r\n--x'), 'a.wav');
  assert.equal((await transcriptions.create({ model: 'whisper', file })).text, 'I heard 5000 bytes of a.wav.');
  const events = await Array.fromAsync(await transcriptions.create({ model: 'whisper', file, stream: true }));
  assert.equal(events.at(-1).type, 'transcript.text.done');
});

everyForm(test, 'images are made and edited', async (options) => {
  const model = 'gpt-image-1';
  const { images } = of(options, model);
  assert.equal((await images.generate({ model, prompt: 'A dot', n: 2 })).data.length, 2);
  const image = await toFile(Buffer.from('\x89PNG'), 'i.png', { type: 'image/png' });
  assert.equal((await images.edit({ model, prompt: 'A dot', image })).data.length, 1);
});

everyForm(test, 'files and batches stay where they are', async (options) => {
  const { files, batches } = of(options, 'gpt-4o');
  const line = { custom_id: '1', method: 'POST', url: '/v1/chat/completions', body: { model: 'gpt-4o', messages: [] } };
  const file = await files.create({ file: await toFile(Buffer.from(JSON.stringify(line)), 'a.jsonl'), purpose: 'batch' });
  assert.equal(JSON.parse(await (await files.content(file.id)).text()).body.model, 'gpt-4.1');
  const asked = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
  const batch = await batches.create(asked);
  assert.equal((await batches.retrieve(batch.id)).status, 'completed');
  const listed = async (objects) => (await Array.fromAsync(objects.list({ limit: 20 }))).map((object) => object.id);
  assert.ok((await listed(batches)).includes(batch.id) && (await listed(files)).includes(file.id));
  assert.equal((await files.delete(file.id)).deleted, true);
});

everyForm(test, 'an upload in parts becomes a file, and another is given up', async (options) => {
  const { files, uploads } = of(options, 'gpt-4o');
  const asked = { filename: 'a.txt', purpose: 'user_data', bytes: 8, mime_type: 'text/plain' };
  const upload = await uploads.create(asked);
  const parts = [];
  for (const text of ['some', 'more']) {
    parts.push(await uploads.parts.create(upload.id, { data: await toFile(Buffer.from(text), 'part') }));
  }
  const done = await uploads.complete(upload.id, { part_ids: parts.map((part) => part.id) });
  assert.equal(done.status, 'completed');
  assert.equal(await (await files.content(done.file.id)).text(), 'somemore');
  assert.equal((await uploads.cancel((await uploads.create(asked)).id)).status, 'cancelled');
});

everyForm(test, 'a video is made, watched and deleted', async (options) => {
  const { videos } = of(options, 'sora-2');
  const made = await videos.create({ model: 'sora-2', prompt: 'A dot', seconds: '4' });
  assert.equal(made.model, 'sora-2');
  assert.ok((await Array.fromAsync(videos.list())).some((video) => video.id === made.id));
  while ((await videos.retrieve(made.id)).status !== 'completed');
  assert.equal((await (await videos.downloadContent(made.id)).arrayBuffer()).byteLength, 400_000);
  assert.equal((await videos.delete(made.id)).deleted, true);
  await assert.rejects(videos.retrieve(made.id), { status: 404 });
});
