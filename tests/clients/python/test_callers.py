"""How a virtual key may be shown, and what a key that does not fit answers."""

import openai
import pytest

from forms import Sdk

HELLO = [{"role": "user", "content": "hello"}]
SHOWN = {
    "api-key": "{}",
    "Authorization": "Bearer {}",
    "x-api-key": "{}",
    "x-bf-vk": "{}",
    "x-azgate-vk": "{}",
}


def ask(client, model="gpt-4o", **options):
    return client.chat.completions.create(model=model, messages=HELLO, **options)


@pytest.mark.parametrize("header", SHOWN)
@pytest.mark.parametrize("beside", [True, False], ids=["beside a foreign key", "alone"])
@pytest.mark.parametrize("form", ["OpenAI /v1", "Azure endpoint"])
def test_a_key_is_accepted_in_each_header(stack, form, beside, header):
    headers = {} if beside else {"Authorization": openai.Omit(), "api-key": openai.Omit()}
    headers[header] = SHOWN[header].format(stack.keys["any"])
    client = Sdk(stack.gateway, "sk-of-somebody-else", form).client("gpt-4o")
    assert ask(client, extra_headers=headers).choices


@pytest.mark.parametrize(
    "key, model, error, code",
    [
        ("never-issued", "gpt-4o", openai.AuthenticationError, "invalid_api_key"),
        ("expired", "gpt-4o", openai.AuthenticationError, "key_expired"),
        ("disabled", "gpt-4o", openai.AuthenticationError, "key_disabled"),
        ("narrow", "gpt-4o", openai.PermissionDeniedError, "model_not_allowed"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(form, stack, key, model, error, code):
    client = form.with_key(stack.keys.get(key, key)).client(model)
    with pytest.raises(error) as caught:
        ask(client, model)
    assert caught.value.code == code and caught.value.request_id


def test_a_narrow_key_opens_what_it_names(stack):
    assert ask(Sdk(stack.gateway, stack.keys["narrow"], "OpenAI /v1").client("gpt-4o-mini"), "gpt-4o-mini").choices


def test_no_key_of_the_caller_reaches_the_upstream(stack):
    key = stack.keys["any"]
    headers = {header: shown.format(key) for header, shown in SHOWN.items()} | {"Cookie": f"session={key}"}
    ask(Sdk(stack.gateway, key, "OpenAI /v1").client("gpt-4o", default_headers=headers))
    received = stack.received()[-1]
    assert key not in str(received) and "sim-key" in str(received["headers"])
