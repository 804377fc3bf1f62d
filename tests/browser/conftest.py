"""Browser, pages that are watched, services to look at. CONTRIBUTING.md says how to use them."""

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from chromium import NoChromiumError, chromium
from imagefinder import ImageFinder
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.run import demo_images
from tests.browser.trap import Trap, trapping
from tests.browser.watch import Watch
from tests.browser.windows import DESKTOP, PHONE, Window
from tests.serving import Served, served, serving

SECONDS = 15  # for what the page has to do; machines of CI are slow

NewPage = Callable[..., Page]  # (window=DESKTOP, **options of Playwright's context)
Serve = Callable[..., Served]


@pytest.fixture(scope="package")
def trap() -> Iterator[Trap]:
    with trapping() as trap:
        yield trap


@pytest.fixture(scope="package")
def browser(trap: Trap) -> Iterator[Browser]:
    expect.set_options(timeout=1000 * SECONDS)
    with ExitStack() as stack:
        try:
            running = stack.enter_context(chromium(f"--proxy-server=127.0.0.1:{trap.port}"))
        except NoChromiumError as error:
            pytest.skip(str(error))
        yield running


@pytest.fixture
def watch(trap: Trap, tmp_path: Path) -> Watch:
    return Watch(trap, tmp_path)


@pytest.fixture
def new_page(browser: Browser, watch: Watch) -> Iterator[NewPage]:
    """Each page in a context of its own: nothing is shared but the browser."""
    with ExitStack() as stack:

        def new(window: Window = DESKTOP, **options: Any) -> Page:
            context = stack.enter_context(browser.new_context(**window, **options))
            context.set_default_timeout(1000 * SECONDS)
            watch.follow(context)
            page = context.new_page()
            # from the start: a file dialog that opens before somebody listens is never told of
            page.on("filechooser", lambda _: None)
            return page

        yield new


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, new_page: NewPage) -> Page:
    return new_page(request.param)


@pytest.fixture
def desktop(new_page: NewPage) -> Page:
    return new_page(DESKTOP)


@pytest.fixture
def phone(new_page: NewPage) -> Page:
    return new_page(PHONE)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test whose pages did what they should not has failed; one that failed shows them."""
    watch = pyfuncitem.funcargs.get("watch")
    try:
        result = yield
    except Exception as error:
        if isinstance(watch, Watch):
            for line in (*watch.problems(), *watch.pictures()):
                error.add_note(line)
        raise
    if isinstance(watch, Watch) and (problems := watch.problems()):
        pytest.fail("\n".join(problems), pytrace=False)
    return result


@pytest.fixture(scope="session")
def demo_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo images with the built-in model; never open, so that it can be copied."""
    where = tmp_path_factory.mktemp("demo") / "collection"
    with ImageFinder.open(where) as finder:
        finder.index(demo_images())
    return where


@pytest.fixture(scope="session")
def shared_service(
    demo_collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    copy = shutil.copytree(demo_collection, tmp_path_factory.mktemp("shared") / "collection")
    with ImageFinder.open(copy) as finder, serving(finder, demo_images().parent) as service:
        yield service


@pytest.fixture
def demo_service(shared_service: Served, watch: Watch) -> Served:
    """The demo images with the built-in model; all tests share it, so none may change it."""
    watch.allow(shared_service.url)
    return shared_service


@pytest.fixture
def serve(tmp_path: Path, watch: Watch, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Services of the test's own: of small pictures and the fake embedder, as
    `tests.serving.served` makes them; of a copy of the demo collection; or of a `finder`."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(
            options: ServeOptions | None = None,
            *,
            demo: bool = False,
            finder: ImageFinder | None = None,
            key: str | None = None,
            root_path: str = "",
            **facts: Any,
        ) -> Served:
            folder = tmp_path / f"service-{next(numbers)}"
            if demo:
                original = request.getfixturevalue("demo_collection")
                copy = shutil.copytree(original, folder / "collection")
                finder = stack.enter_context(ImageFinder.open(copy))
            how = {"key": key, "root_path": root_path, **facts}
            service = (
                served(folder, options, **how)
                if finder is None
                else serving(finder, demo_images().parent, options, **how)
            )
            running = stack.enter_context(service)
            watch.allow(running.url)
            return running

        yield start


@pytest.fixture(scope="session")
def queries() -> Path:
    """The folder of the pictures to search the demo images with."""
    return demo_images().parent / "queries"
