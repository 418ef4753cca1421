// What the Node SDK makes of limits: what it throws, and whether and when it tries again by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as openai from 'openai';
import { client } from './forms.mjs';
import { refusedOnce, rejections } from './metrics.mjs';
import { startStack } from './stack.mjs';

const stack = startStack();
const asked = { model: 'gpt-4o', messages: [{ role: 'user', content: 'hello' }], max_tokens: 100 };

for (const form of ['OpenAI /v1', 'Azure endpoint']) {
  for (const [key, code] of [['spent', 'budget_exceeded'], ['small', 'rate_limit_exceeded']]) {
    test(`${form}: ${code} of key ${key} is thrown and not tried again`, async () => {
      const before = await rejections(stack, key);
      const { completions } = client(stack, form, { key, maxRetries: 2 }).chat;
      await assert.rejects(completions.create(asked), (error) => {
        assert.ok(error instanceof openai.RateLimitError, error.message);
        assert.equal(error.code, code);
        return true;
      });
      assert.ok(await refusedOnce(stack, key, before));
    });
  }

  test(`${form}: a full limit is waited for as long as the gateway says`, async () => {
    const headers = { 'x-sim-event-interval-ms': '300' };
    const holder = client(stack, form, { key: 'single', maxRetries: 5 }).chat.completions;
    const holding = await holder.create({ ...asked, stream: true }, { headers });
    setTimeout(() => holding.controller.abort(), 200);
    const begun = Date.now();
    const answer = await client(stack, form, { key: 'single', maxRetries: 3 }).chat.completions.create(asked);
    assert.ok(answer.choices[0].message.content);
    assert.ok(Date.now() - begun >= 950, 'its own first pause would be half a second at most');
  });
}
