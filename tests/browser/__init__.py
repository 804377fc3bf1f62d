"""The page and the Gradio app in a real browser.

A package, so that the browser, which is one for all of it, ends with it: while Playwright runs,
other tests cannot start an event loop of their own.
"""
