"""The Anthropic SDK against every kind of model, and the OpenAI SDK against Claude: whole, streamed, with tools."""

import anthropic
import openai
import pytest
from pydantic import BaseModel

MODELS = ["claude-sonnet-4-6", "gpt-4.1", "chatty"]
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK = '[[call get_weather {"city": "Zürich"}]]'
HELLO = [{"role": "user", "content": "Say hello to Zoë 👋"}]


class Weather(BaseModel):
    city: str
    sunny: bool


@pytest.fixture(scope="module", params=["base_url", "foundry"])
def claude(request, stack):
    """A client of each kind; both send the virtual key in headers of their own."""
    options = {"base_url": f"{stack.gateway}/anthropic", "api_key": stack.keys["any"], "max_retries": 0, "timeout": 20}
    kind = anthropic.Anthropic if request.param == "base_url" else anthropic.AnthropicFoundry
    with kind(**options) as client:
        yield client


@pytest.fixture(scope="module")
def gpt(stack):
    options = {"base_url": f"{stack.gateway}/v1", "api_key": stack.keys["any"], "max_retries": 0, "timeout": 20}
    with openai.OpenAI(**options) as client:
        yield client


def result(message, text="sunny"):
    calls = [block for block in message.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call in calls]
    return [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_comes_whole(claude, model):
    message = claude.messages.create(model=model, max_tokens=300, messages=HELLO, system="Be kind.")
    assert (message.model, message.stop_reason) == (model, "end_turn")
    assert message.content[0].text == "You said: Say hello to Zoë 👋"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_is_put_together_by_the_sdk(claude, model):
    with claude.messages.stream(model=model, max_tokens=300, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == message.content[0].text == "You said: Say hello to Zoë 👋"
    assert (message.stop_reason, message.usage.output_tokens > 0) == ("end_turn", True)


@pytest.mark.parametrize("model", MODELS)
def test_tools_are_called_and_answered(claude, model):
    messages = [{"role": "user", "content": ASK}]
    with claude.messages.stream(model=model, max_tokens=300, messages=messages, tools=[TOOL]) as stream:
        message = stream.get_final_message()
    call = message.content[-1]
    assert (message.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Zürich"})
    answer = claude.messages.create(model=model, max_tokens=300, messages=messages + result(message), tools=[TOOL])
    assert answer.content[0].text.startswith("The tool answered")


def test_thinking_goes_there_and_back(claude):
    for model in ("claude-sonnet-4-6", "gpt-5.2"):
        options = {"model": model, "max_tokens": 4000, "thinking": {"type": "adaptive"}}
        options["output_config"] = {"effort": "medium"}
        with claude.messages.stream(messages=HELLO, **options) as stream:
            message = stream.get_final_message()
        assert message.content[0].type == "thinking" and message.content[0].signature
        turns = HELLO + [{"role": "assistant", "content": message.content}, {"role": "user", "content": "And now?"}]
        assert claude.messages.create(messages=turns, **options).content[-1].text


def test_tokens_are_counted(claude):
    for model in MODELS:
        assert claude.messages.count_tokens(model=model, messages=HELLO, tools=[TOOL]).input_tokens > 10


def test_models_are_listed(claude):
    if isinstance(claude, anthropic.AnthropicFoundry):
        assert claude.models is None, "the client for Azure has no list of models"
        return
    assert all(model.type == "model" for model in claude.models.list())


def test_errors_are_the_sdks_own(claude, stack):
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="gpt-unknown", max_tokens=10, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="stop_sequences"):
        claude.messages.create(model="gpt-4.1", max_tokens=10, messages=HELLO, stop_sequences=[""])
    with pytest.raises(anthropic.AuthenticationError):
        claude.with_options(api_key="wrong").messages.create(model=MODELS[0], max_tokens=10, messages=HELLO)
    for model in MODELS:
        with pytest.raises(anthropic.RateLimitError) as caught:
            headers = {"x-sim-fault": "status=429; retry-after-ms=1"}
            claude.messages.create(model=model, max_tokens=10, messages=HELLO, extra_headers=headers)
        assert caught.value.response.headers["retry-after"]


def test_a_broken_stream_raises(claude):
    for model in MODELS:
        headers = {"x-sim-fault": "truncate-after-events=8"}
        long = [{"role": "user", "content": "one two three four five six seven eight"}]
        with pytest.raises(anthropic.APIError):
            with claude.messages.stream(model=model, max_tokens=300, messages=long, extra_headers=headers) as stream:
                stream.get_final_message()


def test_openais_helpers_work_against_claude(gpt):
    answer = gpt.chat.completions.create(model="claude-sonnet-4-6", messages=HELLO)
    assert answer.choices[0].message.content == "You said: Say hello to Zoë 👋"
    with gpt.chat.completions.stream(model="claude-sonnet-4-6", messages=HELLO) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == answer.choices[0].message.content
    parsed = gpt.chat.completions.parse(model="claude-sonnet-4-6", messages=HELLO, response_format=Weather)
    assert isinstance(parsed.choices[0].message.parsed, Weather)
    with gpt.chat.completions.stream(model="claude-sonnet-4-6", messages=HELLO, response_format=Weather) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Weather)


def test_openais_tools_work_against_claude(gpt):
    function = {"name": TOOL["name"], "parameters": TOOL["input_schema"]}
    messages = [{"role": "user", "content": ASK}]
    options = {"model": "claude-sonnet-4-6", "tools": [{"type": "function", "function": function}]}
    with gpt.chat.completions.stream(messages=messages, **options) as stream:
        message = stream.get_final_completion().choices[0].message
    call = message.tool_calls[0]
    assert call.function.arguments == '{"city":"Zürich"}'
    messages += [message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    assert gpt.chat.completions.create(messages=messages, **options).choices[0].message.content == "The tool answered: sunny"


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "chatty"])
def test_responses_are_answered_by_models_that_have_none(gpt, model):
    answer = gpt.responses.create(model=model, input="Hello there")
    assert (answer.output_text, answer.status) == ("You said: Hello there", "completed")
    with gpt.responses.stream(model=model, input="Hello there") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == answer.output_text
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    parsed = gpt.responses.parse(model=model, input="Hello there", text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)
