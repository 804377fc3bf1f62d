"""The Gradio app: `gradio_app` for notebooks, and the same below /gradio of a service."""

from imagefinder.serve.gradio.app import gradio_app

__all__ = ["gradio_app"]
