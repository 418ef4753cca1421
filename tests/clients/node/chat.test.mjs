// Chat completions through every client form of the Node SDK: whole, streamed, with tools, parsed, cancelled.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { client, everyForm } from './forms.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();
const MODEL = 'gpt-4o';
const messages = [{ role: 'user', content: 'Say hello to Zoë 👋' }];
const Event = z.object({ name: z.string(), participants: z.array(z.string()) });
const chat = (options) => client(stack, options.form, options).chat.completions;
const all = async (stream) => Array.fromAsync(await stream);
const text = (chunks) => chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta?.content ?? '')).join('');
const weather = (get) => ({
  type: 'function',
  function: {
    name: 'get_weather',
    parse: JSON.parse,
    function: get,
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
});

everyForm(test, 'an answer comes whole', async (options) => {
  const answer = await chat(options).create({ model: MODEL, messages });
  assert.equal(answer.model, MODEL);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.ok(answer.choices[0].message.content && answer.usage.total_tokens > 0);
});

everyForm(test, 'a stream is the same text and ends once', async (options) => {
  const whole = await chat(options).create({ model: MODEL, messages });
  const chunks = await all(chat(options).create({ model: MODEL, messages, stream: true }));
  assert.equal(text(chunks), whole.choices[0].message.content);
  assert.deepEqual(chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean), ['stop']);
  assert.deepEqual(chunks.filter((chunk) => chunk.usage), [], 'usage came unasked');
});

everyForm(test, 'usage comes once when asked for', async (options) => {
  const asked = { model: MODEL, messages, stream: true, stream_options: { include_usage: true } };
  const chunks = await all(chat(options).create(asked));
  assert.equal(chunks.filter((chunk) => chunk.usage).length, 1);
  assert.deepEqual(chunks.at(-1).choices, []);
});

everyForm(test, 'the streaming helper emits content and the final completion', async (options) => {
  const runner = chat(options).stream({ model: MODEL, messages });
  let seen = '';
  runner.on('content', (delta) => (seen += delta));
  const completion = await runner.finalChatCompletion();
  assert.equal(completion.choices[0].message.content, seen);
  assert.equal(completion.model, MODEL);
});

for (const stream of [false, true]) {
  everyForm(test, `runTools calls the tool and answers${stream ? ', streamed' : ''}`, async (options) => {
    const cities = [];
    const tools = [weather(({ city }) => (cities.push(city), 'sunny'))];
    const question = [{ role: 'user', content: 'How is the weather in Zürich?' }];
    const runner = chat(options).runTools({ model: MODEL, messages: question, tools, stream });
    assert.ok(await runner.finalContent());
    assert.equal(cities.length, 1);
    assert.equal(typeof cities[0], 'string');
  });
}

everyForm(test, 'parse fills a zod schema', async (options) => {
  const asked = { model: MODEL, messages, response_format: zodResponseFormat(Event, 'event') };
  const answer = await chat(options).parse(asked);
  assert.deepEqual(Event.parse(answer.choices[0].message.parsed), answer.choices[0].message.parsed);
});

everyForm(test, 'the model comes back as the caller spelled it', async (options) => {
  for (const model of ['GPT-4o', 'azure/gpt-4o', 'azure/GPT-4o']) {
    const answer = await chat({ ...options, model }).create({ model, messages });
    assert.equal(answer.model, model);
  }
});

everyForm(test, 'headers say where the answer came from', async (options) => {
  const { response, data } = await chat(options).create({ model: MODEL, messages }).withResponse();
  assert.equal(response.headers.get('x-azgate-key'), options.key);
  assert.equal(response.headers.get('x-azgate-deployment'), 'gpt-4.1');
  assert.equal(response.headers.get('x-azgate-attempts'), '1');
  assert.ok(response.headers.get('apim-request-id'));
  assert.equal(data._request_id, response.headers.get('x-request-id'));
});
