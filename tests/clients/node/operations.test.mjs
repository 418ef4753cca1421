// Embeddings, legacy completions and models through every client form of the Node SDK.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, everyForm } from './forms.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();

everyForm(test, 'embeddings decode from base64 as from floats', async (options) => {
  const model = 'embedder';
  const embeddings = client(stack, options.form, { ...options, model }).embeddings;
  const decoded = await embeddings.create({ model, input: ['first', 'second'], dimensions: 256 });
  const floats = await embeddings.create({ model, input: ['first', 'second'], dimensions: 256, encoding_format: 'float' });
  assert.equal(decoded.model, model);
  for (const [at, { embedding }] of decoded.data.entries()) {
    assert.equal(embedding.length, 256);
    embedding.forEach((value, n) => assert.ok(Math.abs(value - floats.data[at].embedding[n]) < 1e-6));
  }
});

everyForm(test, 'legacy completions come whole and streamed', async (options) => {
  const asked = { model: 'gpt-35-turbo-instruct', prompt: 'Once upon a time', max_tokens: 64 };
  const completions = client(stack, options.form, { ...options, model: asked.model }).completions;
  const whole = await completions.create(asked);
  const chunks = await Array.fromAsync(await completions.create({ ...asked, stream: true }));
  assert.ok(whole.choices[0].text);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join(''), whole.choices[0].text);
});

everyForm(test, 'models are listed and retrieved', async (options) => {
  const { models } = client(stack, options.form, options);
  const names = (await Array.fromAsync(models.list())).map((model) => model.id);
  for (const name of ['gpt-4o', 'reasoner', 'embedder']) assert.ok(names.includes(name), name);
  assert.equal((await models.retrieve('gpt-4o')).id, 'gpt-4o');
});
