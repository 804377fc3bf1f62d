"""The windows that the page is tried in: options of Playwright's contexts."""

from typing import TypedDict

from playwright.sync_api import ViewportSize


class Window(TypedDict, total=False):
    viewport: ViewportSize
    has_touch: bool
    is_mobile: bool
    device_scale_factor: float


DESKTOP: Window = {"viewport": {"width": 1280, "height": 800}}
PHONE: Window = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
