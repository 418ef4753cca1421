// The Anthropic SDK against every kind of model: whole, streamed, with tools, refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { startStack } from './stack.mjs';

const stack = startStack();
const MODELS = ['claude-sonnet-4-6', 'gpt-4.1', 'chatty'];
const messages = [{ role: 'user', content: 'Say hello to Zoë 👋' }];
const tool = {
  name: 'get_weather',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const client = (options) =>
  new Anthropic({ baseURL: `${stack.gateway}/anthropic`, authToken: stack.keys.any, maxRetries: 0, timeout: 20_000, ...options });

for (const model of MODELS) {
  test(`${model}: an answer comes whole and streamed`, async () => {
    const whole = await client().messages.create({ model, max_tokens: 300, messages });
    assert.equal(whole.content[0].text, 'You said: Say hello to Zoë 👋');
    assert.equal(whole.stop_reason, 'end_turn');
    const streamed = await client().messages.stream({ model, max_tokens: 300, messages }).finalMessage();
    assert.equal(streamed.content[0].text, whole.content[0].text);
    assert.ok(streamed.usage.output_tokens > 0 && streamed.model === model);
  });

  test(`${model}: a tool is called and answered`, async () => {
    const asked = [{ role: 'user', content: '[[call get_weather {"city": "Zürich"}]]' }];
    const call = await client().messages.stream({ model, max_tokens: 300, messages: asked, tools: [tool] }).finalMessage();
    assert.deepEqual(call.content.at(-1).input, { city: 'Zürich' });
    const result = { type: 'tool_result', tool_use_id: call.content.at(-1).id, content: 'sunny' };
    asked.push({ role: 'assistant', content: call.content }, { role: 'user', content: [result] });
    const answer = await client().messages.create({ model, max_tokens: 300, messages: asked, tools: [tool] });
    assert.match(answer.content[0].text, /^The tool answered/);
  });

  test(`${model}: a stream that breaks raises`, async () => {
    const headers = { 'x-sim-fault': 'truncate-after-events=8' };
    const long = [{ role: 'user', content: 'one two three four five six seven eight' }];
    const stream = client().messages.stream({ model, max_tokens: 300, messages: long }, { headers });
    await assert.rejects(stream.finalMessage(), Anthropic.APIError);
  });
}

test('errors are the SDK’s own', async () => {
  const ask = (options) => client(options).messages.create({ model: 'gpt-unknown', max_tokens: 9, messages });
  await assert.rejects(ask(), Anthropic.NotFoundError);
  await assert.rejects(ask({ authToken: 'wrong' }), Anthropic.AuthenticationError);
});
