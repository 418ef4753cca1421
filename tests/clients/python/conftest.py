"""One gateway for the whole session, and the client forms as a fixture."""

import asyncio
import importlib.util
import inspect
import itertools

import pytest

from forms import FORMS, Sdk, done, opened
from stack import Stack, StartFailed

NEEDED = {
    "test_langchain.py": "langchain_openai",
    "test_anthropic.py": "anthropic",
    "test_dialects.py": "anthropic",
    "test_anthropic_limits.py": "anthropic",
}
collect_ignore = [test for test, package in NEEDED.items() if not importlib.util.find_spec(package)]
LOOP = asyncio.Runner()
API_KEYS = itertools.product(FORMS, ("classic", "v1"), (False, True))
CASES = [*API_KEYS, *itertools.product(FORMS, ("entra",), (False,))]


@pytest.fixture(scope="session")
def stack(tmp_path_factory, request):
    stack = Stack(tmp_path_factory.mktemp("stack"))
    request.config.stack = stack
    try:
        yield stack.start()
    except StartFailed as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
    finally:
        stack.stop()


def _id(case) -> str:
    form, upstream, asynchronous = case
    return f"{'async' if asynchronous else 'sync'} {form} to {upstream}"


@pytest.fixture(params=CASES, ids=_id)
def sdk(request, stack) -> Sdk:
    """Every client form in front of each kind of key; synchronous and asynchronous where the key is an API key."""
    form, upstream, asynchronous = request.param
    return Sdk(stack.gateway, stack.keys[upstream], form, asynchronous)


@pytest.fixture(params=FORMS)
def form(request, stack) -> Sdk:
    """Every client form once, for what the gateway decides before it chooses a key."""
    return Sdk(stack.gateway, stack.keys["any"], request.param)


@pytest.fixture(params=["OpenAI /v1", "Azure endpoint"])
def one(request, stack) -> Sdk:
    """One client of each class, for what does not depend on the form."""
    return Sdk(stack.gateway, stack.keys["any"], request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem) -> bool:
    """Runs `async def` tests, and closes the clients that a test opened. LangChain shares its connections: one loop for all."""
    names = inspect.signature(pyfuncitem.obj).parameters

    async def run() -> None:
        try:
            await done(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        finally:
            while opened:
                await done(opened.pop().close())

    LOOP.run(run())
    return True


def pytest_unconfigure() -> None:
    LOOP.close()


def pytest_terminal_summary(terminalreporter, config) -> None:
    if terminalreporter.stats.get("failed") and hasattr(config, "stack"):
        terminalreporter.write_line(config.stack.logs())
