"""gradio_app: an upload, a few options, and a gallery of the images that look most like it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request

from imagefinder.errors import ImageFinderError, MissingExtraError, UsageError
from imagefinder.finder import ImageFinder
from imagefinder.serve.gradio.gallery import Captioned, Thumbnail, captioned, thumbnails_of
from imagefinder.serve.gradio.question import NOT_HERE, is_upload, question_of

if TYPE_CHECKING:
    import gradio as gr

Call: TypeAlias = Callable[[], list[Captioned]]
# Does what takes a while, for a request. Whatever goes wrong is an ImageFinderError.
Runner: TypeAlias = Callable[[Request | None, Call], Awaitable[list[Captioned]]]

MOST = 100  # similar images; a gallery has no pages
AT_FIRST = 12
KEPT = 3600  # seconds that an upload is kept, for another search with it
TITLE = "ImageFinder"
LEAD = "Give an image, and see what of **{name}** looks most like it."
CSS = """
footer { display: none !important }
#told:not(:has(p)) { display: none }
#told p, .refused { margin: 0; padding: .75rem 1rem; border-radius: .5rem; font-weight: 600;
  background: #fef2f2; color: #991b1b; border: 1px solid #fecaca }
.refused { position: fixed; inset: auto 1rem 1rem; max-width: 40rem; margin: 0 auto; z-index: 9 }
.dark #told p, .dark .refused { background: #450a0a; color: #fecaca; border-color: #7f1d1d }
.gradio-container { width: 100%; max-width: 84rem !important; margin: 0 auto !important }
#results .grid-wrap { max-height: none !important; height: auto !important; min-height: 20rem }
#results .grid-container { padding: 0 !important; align-content: start;
  grid-template-columns: repeat(auto-fill, minmax(min(10rem, 40%), 1fr)) !important }
#results .thumbnail-item { display: flex; flex-direction: column; width: 100%;
  height: auto !important; aspect-ratio: auto !important;
  background: var(--background-fill-primary) }
#results .thumbnail-item img { width: 100%; height: auto; aspect-ratio: 1;
  background: var(--background-fill-secondary) }
#results .caption-label { position: static !important; max-width: 100%; border: 0; background: none;
  padding: .4rem .6rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  font-size: .85rem; font-variant-numeric: tabular-nums }
"""


def gradio_app(
    finder: ImageFinder,
    *,
    name: str | None = None,
    most: int = MOST,
    thumbnail: Thumbnail | None = None,
    run: Runner | None = None,
) -> "gr.Blocks":
    """The app of any collection, for notebooks: `gradio_app(finder).launch()`.

    `name` is what the collection is called there, `most` bounds how many similar images can be
    asked for, `thumbnail` gives the small picture of an id, and `run` does the work of a search.

    Raises MissingExtraError, CollectionNotFoundError.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise MissingExtraError("the Gradio app", "gradio") from error

    status = finder.status()
    thumbnail = thumbnail or thumbnails_of(finder)
    run = run or in_a_thread

    def answer(image: object, model: object, k: object, ignore: object) -> list[Captioned]:
        if model != status.model:
            raise UsageError(f"There is no such model here; there is {status.model}")
        question = question_of(image, k, ignore, most=most, uploads=Path(query.GRADIO_CACHE))
        hits = finder.search(
            question.image,
            question.k,
            exclude_same=question.ignore_duplicate,
            space=status.model,  # also when searches have come to use another one
        )
        return captioned(hits, thumbnail)

    async def search(
        image: object, model: object, k: object, ignore: object, request: gr.Request
    ) -> tuple[str, list[Captioned]]:
        if image is None:
            return "", []
        try:
            return "", await run(request.request, partial(answer, image, model, k, ignore))
        except ImageFinderError as error:  # Gradio shows what is raised only from its queue
            return f'<p role="alert">{escape(str(error))}</p>', []

    app = app_class()(title=TITLE, analytics_enabled=False, delete_cache=(KEPT // 4, KEPT))
    with app:
        gr.Markdown(f"# {TITLE}\n{LEAD.format(name=name or PurePath(status.collection).name)}")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                query = gr.Image(
                    label="Input image",
                    type="filepath",
                    sources=["upload", "webcam", "clipboard"],
                    buttons=["fullscreen"],
                    height=300,
                    elem_id="query",
                    alt_text="the image that is searched with",
                )
                model = gr.Dropdown([status.model], value=status.model, label="Model")
                k = gr.Slider(
                    1, most, min(AT_FIRST, most), step=1, label="Number of similar images"
                )
                ignore = gr.Checkbox(label="Ignore duplicate", info="Leave out the image itself.")
            with gr.Column(scale=3, min_width=300):
                told = gr.Markdown(elem_id="told")
                found = gr.Gallery(
                    label="Similar images",
                    show_label=False,
                    height="auto",
                    object_fit="contain",
                    buttons=["fullscreen"],
                    interactive=False,
                    elem_id="results",
                )
        asked: list[gr.components.Component] = [query, model, k, ignore]
        for component in asked:
            move = partial(only_uploads, component)
            component.async_move_resource_to_block_cache = move  # type: ignore[method-assign]
        gr.on(
            [query.change, model.change, k.change, ignore.change],
            search,
            asked,
            [told, found],
            api_name="search",
            preprocess=False,  # it would decode the image at its full size
            postprocess=False,  # the pictures are in the answer, not in files
            queue=False,  # the answer comes with the request, which a service bounds and counts
            trigger_mode="always_last",
        )
    return app


def app_class() -> "type[gr.Blocks]":
    """Blocks that fetch nothing from other hosts, however they are launched."""
    import gradio as gr

    class App(gr.Blocks):
        def launch(self, *args: Any, **options: Any) -> Any:
            return super().launch(*args, **{**looks(), **options})

    return App


def looks() -> dict[str, Any]:
    """Options of launching and mounting."""
    import gradio as gr

    theme = gr.themes.Soft(
        primary_hue="teal",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_padding="0",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_label_text_color="*primary_800",
        block_label_text_color_dark="white",
        block_label_background_fill_dark="*primary_800",
        block_info_text_color="*neutral_600",
        checkbox_border_color="*neutral_500",
        input_border_color="*neutral_400",
    )
    return {"theme": theme, "css": CSS, "footer_links": [], "run_history": False}


async def only_uploads(component: "gr.Component", path: str | Path | None) -> str | None:
    """In place of Gradio's own way to a file that a request names, which would fetch it from the
    web, or copy it from anywhere on this machine."""
    if path is None or is_upload(str(path), Path(component.GRADIO_CACHE)):
        return None if path is None else str(path)
    import gradio as gr

    raise gr.Error(NOT_HERE, print_exception=False)


async def in_a_thread(_: Request | None, call: Call) -> list[Captioned]:
    """Nothing but the event loop is spared."""
    return await asyncio.to_thread(call)
