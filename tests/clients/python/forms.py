"""How applications construct the SDK's clients, and one way to call the synchronous and the asynchronous ones."""

import inspect
from dataclasses import dataclass, replace

import openai

API_VERSION = "2024-10-21"

# name -> (class, the arguments that point it at the gateway)
FORMS = {
    "OpenAI /v1": ("OpenAI", lambda url, _: {"base_url": f"{url}/v1"}),
    "OpenAI /openai": ("OpenAI", lambda url, _: {"base_url": f"{url}/openai"}),
    "OpenAI /openai/v1": ("OpenAI", lambda url, _: {"base_url": f"{url}/openai/v1"}),
    "Azure endpoint": ("AzureOpenAI", lambda url, _: {"azure_endpoint": url}),
    "Azure endpoint /openai": ("AzureOpenAI", lambda url, _: {"azure_endpoint": f"{url}/openai"}),
    "Azure deployment": ("AzureOpenAI", lambda url, model: {"azure_endpoint": url, "azure_deployment": model}),
    "Azure base_url": ("AzureOpenAI", lambda url, _: {"base_url": f"{url}/openai"}),
}

# The clients of the running test; conftest closes them when it ends.
opened: list = []


@dataclass(frozen=True)
class Sdk:
    """One client form, before a model is chosen: with `azure_deployment` the client belongs to a single model."""

    url: str
    key: str
    form: str
    asynchronous: bool = False

    @property
    def is_azure(self) -> bool:
        return FORMS[self.form][0] == "AzureOpenAI"

    def with_key(self, key: str) -> "Sdk":
        return replace(self, key=key)

    def client(self, model: str, **options):
        name, arguments = FORMS[self.form]
        options = {"api_key": self.key, "max_retries": 0, "timeout": 20} | arguments(self.url, model) | options
        if self.is_azure:
            options["api_version"] = API_VERSION
        # There is no TLS here, and reading the trusted roots is what takes longest in most tests.
        transport = openai.DefaultAsyncHttpxClient if self.asynchronous else openai.DefaultHttpxClient
        options["http_client"] = transport(verify=False)
        client = getattr(openai, f"Async{name}" if self.asynchronous else name)(**options)
        opened.append(client)
        return client


async def done(answer):
    """What a call answers: an asynchronous client returns it later."""
    return await answer if inspect.isawaitable(answer) else answer


async def events(stream) -> list:
    """All events of a stream, to its end."""
    stream = await done(stream)
    return [event async for event in stream] if hasattr(stream, "__aiter__") else list(stream)


async def final_completion(manager):
    """Runs the SDK's streaming accumulator to its end: (events, the completion that it put together)."""
    if not hasattr(manager, "__aenter__"):
        with manager as stream:
            return list(stream), stream.get_final_completion()
    async with manager as stream:
        return [event async for event in stream], await stream.get_final_completion()
