"""Every dialect to every family of models: the streaming helper, a parsed output, and both at once."""

import anthropic
import openai
import pytest
from pydantic import BaseModel

CLAUDE, CHATTY = "claude-sonnet-4-6", "chatty"
OPENAI = {"chat": ["gpt-4.1", CLAUDE], "responses": ["gpt-4.1", CHATTY, CLAUDE]}
HELLO = [{"role": "user", "content": "Say hello to Zoë 👋"}]
SAID = "You said: Say hello to Zoë 👋"


class Weather(BaseModel):
    city: str
    sunny: bool


@pytest.fixture(scope="module")
def claude(stack):
    options = {"base_url": f"{stack.gateway}/anthropic", "api_key": stack.keys["any"], "max_retries": 0, "timeout": 20}
    with anthropic.Anthropic(**options) as client:
        yield client


@pytest.fixture(scope="module")
def gpt(stack):
    options = {"base_url": f"{stack.gateway}/v1", "api_key": stack.keys["any"], "max_retries": 0, "timeout": 20}
    with openai.OpenAI(**options) as client:
        yield client


@pytest.mark.parametrize("model", [CLAUDE, "gpt-4.1", CHATTY])
def test_messages_are_put_together_from_a_stream(claude, model):
    with claude.messages.stream(model=model, max_tokens=300, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == message.content[0].text == SAID and message.model == model


@pytest.mark.parametrize("model", ["gpt-4.1", CHATTY])
def test_messages_are_parsed(claude, model):
    options = {"model": model, "max_tokens": 300, "messages": HELLO, "output_format": Weather}
    assert isinstance(claude.messages.parse(**options).parsed_output, Weather)
    with claude.messages.stream(**options) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Weather)


def test_what_claude_on_azure_refuses_is_its_own_refusal(claude):
    with pytest.raises(anthropic.BadRequestError, match="structured outputs"):
        claude.messages.parse(model=CLAUDE, max_tokens=300, messages=HELLO, output_format=Weather)


@pytest.mark.parametrize("model", OPENAI["chat"])
def test_chat_completions_are_put_together_and_parsed(gpt, model):
    with gpt.chat.completions.stream(model=model, messages=HELLO) as stream:
        seen = "".join(event.delta for event in stream if event.type == "content.delta")
        assert seen == stream.get_final_completion().choices[0].message.content == SAID
    options = {"model": model, "messages": HELLO, "response_format": Weather}
    assert isinstance(gpt.chat.completions.parse(**options).choices[0].message.parsed, Weather)
    with gpt.chat.completions.stream(**options) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Weather)


@pytest.mark.parametrize("model", OPENAI["responses"])
def test_responses_are_put_together_and_parsed(gpt, model):
    with gpt.responses.stream(model=model, input="Say hello to Zoë 👋") as stream:
        seen = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert seen == stream.get_final_response().output_text == SAID
    options = {"model": model, "input": "Hello", "text_format": Weather}
    assert isinstance(gpt.responses.parse(**options).output_parsed, Weather)
    with gpt.responses.stream(**options) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Weather)


@pytest.mark.parametrize("model", [CLAUDE, "gpt-4.1", CHATTY])
@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequences_end_an_answer(claude, model, stream):
    options = {"model": model, "max_tokens": 300, "messages": HELLO, "stop_sequences": [" to Z"]}
    if stream:
        with claude.messages.stream(**options) as events:
            message = events.get_final_message()
    else:
        message = claude.messages.create(**options)
    assert message.content[0].text == "You said: Say hello"
    if model != CHATTY:
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " to Z")
