"""Every failure raises the exception that the SDK documents for it."""

import openai
import pytest

from forms import Sdk, done

HELLO = [{"role": "user", "content": "hello"}]


def ask(client, model="gpt-4o", fault=None, **options):
    headers = {"x-sim-fault": fault} if fault else {}
    options = {"model": model, "messages": HELLO, "extra_headers": headers} | options
    return client.chat.completions.create(**options)


def test_an_unknown_model_is_not_found(form):
    with pytest.raises(openai.NotFoundError):
        ask(form.client("no-such-model"), "no-such-model")


def test_an_unknown_model_in_the_models_list_is_not_found(form):
    with pytest.raises(openai.NotFoundError) as caught:
        form.client("gpt-4o").models.retrieve("no-such-model")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("model", ["", None])
def test_a_missing_model_is_a_bad_request(stack, model):
    client = Sdk(stack.gateway, stack.keys["any"], "OpenAI /v1").client("")
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model)
    assert caught.value.code == "missing_model"


def test_a_body_over_the_limit_is_refused(form):
    messages = [{"role": "user", "content": "x" * (2 * 1024 * 1024)}]
    with pytest.raises(openai.APIStatusError) as caught:
        ask(form.client("gpt-4o"), messages=messages)
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


def test_an_unsupported_operation_is_named(form):
    with pytest.raises(openai.BadRequestError) as caught:
        form.client("gpt-4o").images.create_variation(image=b"png", model="gpt-4o")
    assert caught.value.code == "unsupported_operation" and "variation" in caught.value.message


def test_an_unknown_path_is_not_found(form):
    with pytest.raises(openai.NotFoundError) as caught:
        form.client("gpt-4o").post("/no/such/path", body={}, cast_to=object)
    assert caught.value.code == "not_found"


def test_a_refused_gateway_credential_is_not_the_callers_fault(form, stack):
    with pytest.raises(openai.InternalServerError) as caught:
        ask(form.with_key(stack.keys["refused"]).client("gpt-4o"))
    assert (caught.value.status_code, caught.value.code) == (502, "credential_unavailable")


UPSTREAM = {
    "status=400": (openai.BadRequestError, 400),
    "status=408": (openai.APIStatusError, 408),
    "status=422": (openai.UnprocessableEntityError, 422),
    "status=500": (openai.InternalServerError, 500),
    "status=503; html": (openai.InternalServerError, 503),
    "status=503; empty-body": (openai.InternalServerError, 503),
    "reset-before-head": (openai.InternalServerError, 502),
    "close-before-head": (openai.InternalServerError, 502),
    "reset-after-bytes=40": (openai.InternalServerError, 502),
}


@pytest.mark.parametrize("fault", UPSTREAM)
async def test_an_upstream_failure_raises_its_own_exception(sdk, fault):
    error, status = UPSTREAM[fault]
    with pytest.raises(error) as caught:
        await done(ask(sdk.client("gpt-4o"), fault=fault))
    assert caught.value.status_code == status


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_filtered_prompt_says_so(sdk, stream):
    messages = [{"role": "user", "content": "[[filter-prompt]]"}]
    with pytest.raises(openai.BadRequestError) as caught:
        await done(ask(sdk.client("gpt-4o"), messages=messages, stream=stream))
    assert caught.value.code == "content_filter"
    assert caught.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"


def test_a_silent_upstream_is_a_timeout(one):
    with pytest.raises(openai.InternalServerError) as caught:
        ask(one.client("gpt-4o"), fault="stall-before-head")
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")


@pytest.mark.parametrize("hint", ["retry-after-ms=40", "retry-after=1"])
def test_throttling_says_when_to_come_back_and_passes(stack, hint):
    """A model of its own: the gate that closes here is closed for nobody else."""
    client = Sdk(stack.gateway, stack.keys["v1"], "OpenAI /v1").client("gpt-5-nano")
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, "gpt-5-nano", fault=f"status=429; {hint}")
    headers = caught.value.response.headers
    assert headers["retry-after"] == "1" and int(headers["retry-after-ms"]) <= 1000
    assert "x-should-retry" not in headers
    patient = Sdk(stack.gateway, stack.keys["v1"], "OpenAI /v1").client("gpt-5-nano", max_retries=3)
    assert ask(patient, "gpt-5-nano").choices
