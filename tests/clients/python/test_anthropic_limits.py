"""What the Anthropic SDK makes of limits: the exception, the headers, and whether and when it tries again by itself."""

import threading
import time
from datetime import datetime, timezone

import anthropic
import pytest

from test_limits import refused_once, rejections

HELLO = [{"role": "user", "content": "hello"}]
MODELS = ["claude-sonnet-4-6", "gpt-4.1"]


def client(stack, key: str, retries: int = 0):
    options = {"base_url": f"{stack.gateway}/anthropic", "api_key": stack.keys[key], "timeout": 20}
    return anthropic.Anthropic(max_retries=retries, **options)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("key, told", [("spent", "may spend"), ("small", "tokens per minute")])
def test_what_waiting_does_not_help_is_not_tried_again(stack, model, key, told):
    before = rejections(stack, key)
    with client(stack, key, 2) as asking, pytest.raises(anthropic.RateLimitError) as caught:
        asking.messages.create(model=model, max_tokens=100, messages=HELLO)
    error, answer = caught.value.body, caught.value.response
    assert (answer.status_code, error["type"], error["error"]["type"]) == (429, "error", "rate_limit_error")
    assert told in error["error"]["message"]
    assert error["request_id"] == answer.headers["request-id"] == caught.value.request_id
    assert answer.headers["x-should-retry"] == "false"
    assert refused_once(stack, key, before)


def test_a_stream_is_refused_in_the_same_way(stack):
    with client(stack, "spent") as asking, pytest.raises(anthropic.RateLimitError):
        with asking.messages.stream(model=MODELS[0], max_tokens=100, messages=HELLO) as stream:
            stream.get_final_message()


@pytest.mark.parametrize("model", MODELS)
def test_a_full_limit_is_waited_for_as_long_as_the_gateway_says(stack, model):
    with client(stack, "single", 5) as holder, client(stack, "single") as refused, client(stack, "single", 3) as waiting:
        holding = holder.messages.create(
            model=model, max_tokens=100, messages=HELLO, stream=True, extra_headers={"x-sim-event-interval-ms": "300"}
        )
        next(iter(holding))
        with pytest.raises(anthropic.RateLimitError) as caught:
            refused.messages.create(model=model, max_tokens=100, messages=HELLO)
        headers = caught.value.response.headers
        assert (headers["retry-after"], headers.get("x-should-retry")) == ("1", None)
        threading.Timer(0.2, holding.close).start()
        begun = time.monotonic()
        answer = waiting.messages.create(model=model, max_tokens=100, messages=HELLO)
        assert answer.content
        # Its own first pause would be half a second at most.
        assert time.monotonic() - begun >= 0.95


@pytest.mark.parametrize("model", MODELS)
def test_answers_tell_what_the_limits_leave(stack, model):
    with client(stack, "ample") as asking:
        answer = asking.messages.with_raw_response.create(model=model, max_tokens=100, messages=HELLO)
    told = {name: answer.headers[f"anthropic-ratelimit-{name}"] for name in ("requests-limit", "tokens-limit")}
    assert told == {"requests-limit": "100000", "tokens-limit": "100000000"}
    assert 0 < int(answer.headers["anthropic-ratelimit-requests-remaining"]) < 100000
    assert 0 < int(answer.headers["anthropic-ratelimit-tokens-remaining"]) < 100000000
    reset = datetime.fromisoformat(answer.headers["anthropic-ratelimit-requests-reset"].replace("Z", "+00:00"))
    assert 0 < (reset - datetime.now(timezone.utc)).total_seconds() < 63
    assert answer.headers["x-ratelimit-limit-requests"] == "100000"
