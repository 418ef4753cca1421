// Responses through every client form of the Node SDK.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, everyForm } from './forms.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();
const model = 'reasoner';
const of = (options) => client(stack, options.form, { ...options, model }).responses;

everyForm(test, 'a response comes whole and streamed', async (options) => {
  const responses = of(options);
  const whole = await responses.create({ model, input: 'Hello' });
  assert.equal(whole.output_text, 'You said: Hello');
  assert.equal(whole.model, model);
  const events = await Array.fromAsync(await responses.create({ model, input: 'Hello', stream: true }));
  const text = events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta).join('');
  assert.equal(text, 'You said: Hello');
  assert.equal(events.at(-1).type, 'response.completed');
});

everyForm(test, 'a conversation goes on by id, and what is stored is retrieved and deleted', async (options) => {
  const responses = of(options);
  const first = await responses.create({ model, input: 'One' });
  const second = await responses.create({ model, input: 'Two', previous_response_id: first.id });
  assert.equal(second.output_text, 'Going on, you said: Two');
  assert.equal((await responses.retrieve(first.id)).id, first.id);
  assert.equal((await Array.fromAsync(responses.inputItems.list(first.id))).length, 1);
  await responses.delete(first.id);
  await assert.rejects(responses.retrieve(first.id), { status: 404 });
});

everyForm(test, 'the stream helper puts a response together, and a background one is cancelled', async (options) => {
  const responses = of(options);
  const final = await responses.stream({ model, input: 'Helper' }).finalResponse();
  assert.equal(final.output_text, 'You said: Helper');
  const endless = await responses.create({ model, input: '[[never-ends]]', background: true });
  assert.equal((await responses.cancel(endless.id)).status, 'cancelled');
});
