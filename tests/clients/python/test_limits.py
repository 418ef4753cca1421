"""What the SDK makes of limits: the exception it raises, and whether and when it tries again by itself."""

import threading
import time
import urllib.request

import openai
import pytest

HELLO = [{"role": "user", "content": "hello"}]


def rejections(stack, caller: str) -> int:
    """How many requests of a caller the gateway has refused because of a limit."""
    with urllib.request.urlopen(f"{stack.admin}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    counted = [line for line in lines if line.startswith("azgate_limit_rejections_total") and f'caller="{caller}"' in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in counted)


def refused_once(stack, caller: str, before: int) -> bool:
    """Whether one more request was refused. The last one is counted just after its answer."""
    deadline = time.monotonic() + 5
    while rejections(stack, caller) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    return rejections(stack, caller) == before + 1


def test_a_spent_budget_is_a_rate_limit_error_that_is_not_tried_again(form, stack):
    client = form.with_key(stack.keys["spent"]).client("gpt-4o", max_retries=2)
    before = rejections(stack, "spent")
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=100)
    assert (caught.value.status_code, caught.value.code) == (429, "budget_exceeded")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert refused_once(stack, "spent", before)


def test_a_request_larger_than_its_limit_is_not_tried_again(form, stack):
    client = form.with_key(stack.keys["small"]).client("gpt-4o", max_retries=2)
    before = rejections(stack, "small")
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=100)
    assert caught.value.code == "rate_limit_exceeded" and "tokens per minute" in caught.value.message
    assert refused_once(stack, "small", before)


def test_a_full_limit_is_waited_for_as_long_as_the_gateway_says(form, stack):
    sdk = form.with_key(stack.keys["single"])
    holding = sdk.client("gpt-4o", max_retries=5).chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, extra_headers={"x-sim-event-interval-ms": "300"}
    )
    next(iter(holding))
    with pytest.raises(openai.RateLimitError) as caught:
        sdk.client("gpt-4o").chat.completions.create(model="gpt-4o", messages=HELLO)
    assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "1")
    threading.Timer(0.2, holding.close).start()
    begun = time.monotonic()
    answer = sdk.client("gpt-4o", max_retries=3).chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.choices[0].message.content
    # Its own first pause would be half a second at most.
    assert time.monotonic() - begun >= 0.95


def test_answers_tell_what_the_limits_leave(form, stack):
    client = form.with_key(stack.keys["ample"]).client("gpt-4o")
    answer = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    assert answer.headers["x-ratelimit-limit-requests"] == "100000"
    assert int(answer.headers["x-ratelimit-remaining-requests"]) < 100000
    assert 0 < int(answer.headers["x-ratelimit-remaining-tokens"]) < 100000000
