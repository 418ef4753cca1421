// Every dialect to every family of models: the streaming helper, a parsed output, and both at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { OpenAI } from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { startStack } from './stack.mjs';

const stack = startStack();
const [CLAUDE, CHATTY] = ['claude-sonnet-4-6', 'chatty'];
const input = 'Say hello to Zoë 👋';
const messages = [{ role: 'user', content: input }];
const said = `You said: ${input}`;
const Weather = z.object({ city: z.string(), sunny: z.boolean() });
const settings = { maxRetries: 0, timeout: 20_000 };
const claude = () => new Anthropic({ baseURL: `${stack.gateway}/anthropic`, authToken: stack.keys.any, ...settings }).messages;
const gpt = () => new OpenAI({ baseURL: `${stack.gateway}/v1`, apiKey: stack.keys.any, ...settings });

for (const model of [CLAUDE, 'gpt-4.1', CHATTY]) {
  test(`${model}: messages are put together from a stream`, async () => {
    let seen = '';
    const stream = claude().stream({ model, max_tokens: 300, messages }).on('text', (delta) => (seen += delta));
    const message = await stream.finalMessage();
    assert.equal(message.content[0].text, said);
    assert.equal(seen, said);
  });

  test(`${model}: stop sequences end an answer`, async () => {
    const asked = { model, max_tokens: 300, messages, stop_sequences: [' to Z'] };
    for (const message of [await claude().create(asked), await claude().stream(asked).finalMessage()]) {
      assert.equal(message.content[0].text, 'You said: Say hello');
      if (model !== CHATTY) assert.deepEqual([message.stop_reason, message.stop_sequence], ['stop_sequence', ' to Z']);
    }
  });
}

for (const model of ['gpt-4.1', CHATTY]) {
  test(`${model}: messages are parsed, whole and streamed`, async () => {
    const asked = { model, max_tokens: 300, messages, output_config: { format: zodOutputFormat(Weather) } };
    assert.ok(Weather.parse((await claude().parse(asked)).parsed_output));
    assert.ok(Weather.parse((await claude().stream(asked).finalMessage()).parsed_output));
  });
}

test('what Claude on Azure refuses is its own refusal', async () => {
  const asked = { model: CLAUDE, max_tokens: 300, messages, output_config: { format: zodOutputFormat(Weather) } };
  await assert.rejects(claude().parse(asked), /structured outputs/);
});

for (const model of ['gpt-4.1', CLAUDE]) {
  test(`${model}: chat completions are put together and parsed`, async () => {
    const chat = gpt().chat.completions;
    let seen = '';
    const stream = chat.stream({ model, messages }).on('content', (delta) => (seen += delta));
    assert.equal((await stream.finalChatCompletion()).choices[0].message.content, said);
    assert.equal(seen, said);
    const asked = { model, messages, response_format: zodResponseFormat(Weather, 'weather') };
    assert.ok(Weather.parse((await chat.parse(asked)).choices[0].message.parsed));
    assert.ok(Weather.parse((await chat.stream(asked).finalChatCompletion()).choices[0].message.parsed));
  });
}

for (const model of ['gpt-4.1', CHATTY, CLAUDE]) {
  test(`${model}: responses are put together and parsed`, async () => {
    const { responses } = gpt();
    let seen = '';
    const stream = responses.stream({ model, input }).on('response.output_text.delta', ({ delta }) => (seen += delta));
    assert.equal((await stream.finalResponse()).output_text, said);
    assert.equal(seen, said);
    const asked = { model, input, text: { format: zodTextFormat(Weather, 'weather') } };
    assert.ok(Weather.parse((await responses.parse(asked)).output_parsed));
    assert.ok(Weather.parse((await responses.stream(asked).finalResponse()).output_parsed));
  });
}
