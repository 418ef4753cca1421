"""LangChain's Azure and OpenAI classes, as an application uses them."""

import pytest
import tiktoken
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings, ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from forms import API_VERSION

QUESTION = "How is the weather in Zürich?"


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    sunny: bool


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.fixture(params=["azure classic", "azure v1", "openai classic", "openai v1"])
def chat(request, stack):
    kind, upstream = request.param.split()
    options = {"api_key": stack.keys[upstream], "max_retries": 0, "timeout": 20}
    if kind == "openai":
        return ChatOpenAI(base_url=f"{stack.gateway}/v1", model="gpt-4o", **options)
    return AzureChatOpenAI(
        azure_endpoint=stack.gateway, azure_deployment="gpt-4o", api_version=API_VERSION, **options
    )


@pytest.fixture(params=["azure", "openai"])
def embeddings(request, stack, monkeypatch):
    # LangChain sends token numbers; the real vocabulary would be a download, so each byte is a token here.
    bytewise = tiktoken.Encoding("bytes", pat_str=r"(?s).", mergeable_ranks={bytes([n]): n for n in range(256)}, special_tokens={})
    monkeypatch.setattr(tiktoken, "encoding_for_model", lambda _: bytewise)
    monkeypatch.setattr(tiktoken, "get_encoding", lambda _: bytewise)
    options = {"model": "embedder", "api_key": stack.keys["any"], "max_retries": 0}
    if request.param == "openai":
        return OpenAIEmbeddings(base_url=f"{stack.gateway}/v1", **options)
    return AzureOpenAIEmbeddings(azure_endpoint=stack.gateway, api_version=API_VERSION, **options)


def test_invoke_answers_with_usage(chat):
    answer = chat.invoke(QUESTION)
    assert answer.content and answer.usage_metadata["total_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


def test_stream_is_the_same_text(chat):
    chunks = list(chat.stream(QUESTION))
    assert "".join(chunk.content for chunk in chunks) == chat.invoke(QUESTION).content and len(chunks) > 3


async def test_asynchronous_stream_is_the_same_text(chat):
    chunks = [chunk async for chunk in chat.astream(QUESTION)]
    assert "".join(chunk.content for chunk in chunks) == (await chat.ainvoke(QUESTION)).content


def test_a_tool_round_ends_in_an_answer(chat):
    call = chat.bind_tools([get_weather], tool_choice="get_weather").invoke(QUESTION)
    (asked,) = call.tool_calls
    result = get_weather.invoke(asked)
    assert isinstance(result, ToolMessage)
    assert chat.bind_tools([get_weather]).invoke([HumanMessage(QUESTION), call, result]).content


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_an_instance(chat, method):
    assert isinstance(chat.with_structured_output(Weather, method=method).invoke(QUESTION), Weather)


def test_embeddings_of_documents_and_of_a_question(embeddings):
    first, second = embeddings.embed_documents(["first", "second"])
    assert len(first) == len(second) == 1536 and first != second
    assert embeddings.embed_query("first") == pytest.approx(first, abs=1e-3)
