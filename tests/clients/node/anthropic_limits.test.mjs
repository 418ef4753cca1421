// What the Anthropic SDK makes of limits: what it throws, and whether and when it tries again by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { refusedOnce, rejections } from './metrics.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();
const messages = [{ role: 'user', content: 'hello' }];
const client = (key, maxRetries) =>
  new Anthropic({ baseURL: `${stack.gateway}/anthropic`, authToken: stack.keys[key], apiKey: null, maxRetries, timeout: 20_000 });

for (const model of ['claude-sonnet-4-6', 'gpt-4.1']) {
  const asked = { model, max_tokens: 100, messages };

  for (const [key, told] of [['spent', /may spend/], ['small', /tokens per minute/]]) {
    test(`${model}: a limit of key ${key} is thrown and not tried again`, async () => {
      const before = await rejections(stack, key);
      await assert.rejects(client(key, 2).messages.create(asked), (error) => {
        assert.ok(error instanceof Anthropic.RateLimitError, error.message);
        assert.equal(error.error.error.type, 'rate_limit_error');
        assert.match(error.error.error.message, told);
        assert.equal(error.requestID, error.error.request_id);
        return true;
      });
      assert.ok(await refusedOnce(stack, key, before));
    });
  }

  test(`${model}: a full limit is waited for as long as the gateway says`, async () => {
    const headers = { 'x-sim-event-interval-ms': '300' };
    const holding = await client('single', 5).messages.create({ ...asked, stream: true }, { headers });
    setTimeout(() => holding.controller.abort(), 200);
    const begun = Date.now();
    const answer = await client('single', 3).messages.create(asked);
    assert.ok(answer.content.length > 0);
    assert.ok(Date.now() - begun >= 950, 'its own first pause would be half a second at most');
  });

  test(`${model}: answers tell what the limits leave`, async () => {
    const { response } = await client('ample', 0).messages.create(asked).withResponse();
    assert.equal(response.headers.get('anthropic-ratelimit-requests-limit'), '100000');
    assert.ok(Number(response.headers.get('anthropic-ratelimit-tokens-remaining')) < 100_000_000);
    assert.ok(Date.parse(response.headers.get('anthropic-ratelimit-requests-reset')) > Date.now());
  });
}
