// Failures raise the exceptions that the Node SDK documents, and an abort ends the request on both sides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as openai from 'openai';
import { client, everyForm } from './forms.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();
const messages = [{ role: 'user', content: 'hello' }];

// What differs from a good request -> what is thrown.
const REFUSED = {
  'a wrong key': [{ key: 'never-issued' }, openai.AuthenticationError, 401, 'invalid_api_key'],
  'an expired key': [{ key: 'expired' }, openai.AuthenticationError, 401, 'key_expired'],
  'a model outside the key': [{ key: 'narrow' }, openai.PermissionDeniedError, 403, 'model_not_allowed'],
  'an unknown model': [{ model: 'no-such-model' }, openai.NotFoundError, 404],
  'a body over the limit': [{ content: 'x'.repeat(2 << 20) }, openai.APIError, 413, 'request_too_large'],
  'a filtered prompt': [{ content: '[[filter-prompt]]' }, openai.BadRequestError, 400, 'content_filter'],
  'a broken upstream': [{ fault: 'reset-before-head' }, openai.InternalServerError, 502, 'upstream_broken'],
  'a refused gateway credential': [{ key: 'refused' }, openai.InternalServerError, 502, 'credential_unavailable'],
};

for (const [name, [{ content, fault, ...choice }, Class, status, code]] of Object.entries(REFUSED)) {
  everyForm(test, `${name} is ${status}`, async (options) => {
    const { model = 'gpt-4o' } = choice;
    const asked = { model, messages: content ? [{ role: 'user', content }] : messages };
    const headers = fault ? { 'x-sim-fault': fault } : {};
    const completions = client(stack, options.form, { ...options, model, ...choice }).chat.completions;
    await assert.rejects(completions.create(asked, { headers }), (error) => {
      assert.ok(error instanceof Class, `${error.constructor.name}: ${error.message}`);
      assert.equal(error.status, status);
      if (code) assert.equal(error.code, code);
      return true;
    });
  });
}

everyForm(test, 'an unsupported operation is named', async (options) => {
  const image = new File(['png'], 'image.png', { type: 'image/png' });
  const { images } = client(stack, options.form, options);
  await assert.rejects(images.createVariation({ image }), { status: 400, code: 'unsupported_operation' });
});

for (const ending of ['close', 'reset', 'truncate', 'error-event']) {
  everyForm(test, `a stream that ends by ${ending} throws after what came before`, async (options) => {
    const fault = ending === 'error-event' ? 'error-event-at=4' : `${ending}-after-events=4`;
    const { completions } = client(stack, options.form, options).chat;
    const asked = { model: 'gpt-4o', messages, stream: true };
    const stream = await completions.create(asked, { headers: { 'x-sim-fault': fault } });
    let seen = '';
    await assert.rejects(async () => {
      for await (const chunk of stream) seen += chunk.choices[0]?.delta?.content ?? '';
    }, openai.APIError);
    assert.notEqual(seen, '');
  });
}

everyForm(test, 'an abort ends the stream here and upstream', async (options) => {
  const controller = new AbortController();
  const { completions } = client(stack, options.form, options).chat;
  const headers = { 'x-sim-event-interval-ms': '200' };
  const stream = await completions.create(
    { model: 'gpt-4o', messages, stream: true },
    { headers, signal: controller.signal },
  );
  for await (const _ of stream) controller.abort();
  assert.equal(await lastOutcome(), 'caller_left');
});

test('an abort before the answer throws and ends the request upstream', async () => {
  const { completions } = client(stack, 'Azure endpoint').chat;
  const headers = { 'x-sim-fault': 'delay=1500' };
  const asked = completions.create({ model: 'gpt-4o', messages }, { headers, signal: AbortSignal.timeout(200) });
  await assert.rejects(asked, openai.APIUserAbortError);
  assert.equal(await lastOutcome(), 'caller_left');
});

// How the newest request that reached the simulated Azure ended; waits until it has.
async function lastOutcome() {
  for (let turn = 0; turn < 40; turn++, await sleep(25)) {
    const requests = await (await fetch(`${stack.simulator}/_sim/requests`)).json();
    const { outcome } = requests.at(-1);
    if (outcome !== 'in_progress') return outcome;
  }
  return 'in_progress';
}
