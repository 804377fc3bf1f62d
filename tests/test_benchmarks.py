from benchmarks import page, results
from benchmarks.results import Figure


def test_a_figure_is_the_median_and_meets_its_target_or_not() -> None:
    rate = Figure("rate", (30.0, 10.0, 20.0), "images/s", at_least=20)
    assert (rate.value, rate.met) == (20.0, True)
    assert Figure("time", (0.5,), "s", at_most=0.4).met is False
    assert Figure("time", (0.5,), "s").met is None


def test_a_run_is_shown_beside_its_target_and_the_last_result() -> None:
    figures = [
        Figure("rate", (22.0,), "images/s", at_least=20),
        Figure("size", (400.0,), "MB", at_most=350),
        Figure("time", (1.0,), "s"),
    ]
    rate, size, time = results.table(figures, {"rate": 20.0, "size": 500.0}).splitlines()
    assert rate.split() == ["rate", "22", "images/s", "at", "least", "20", "met", "+10%"]
    assert size.split() == ["size", "400", "MB", "at", "most", "350", "MISSED", "-20%"]
    assert time.split() == ["time", "1", "s", "new"]


def test_the_page_says_what_the_results_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.rendered(text) == text, "write it anew: python -m benchmarks.page"
