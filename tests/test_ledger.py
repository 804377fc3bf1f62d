from pathlib import Path

from imagefinder.stores.ledger import Ledger


def test_the_first_path_of_a_run_keeps_its_id(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    number = ledger.source("/photos", "/photos")
    ledger.start_run(number)
    assert ledger.see(number, [("a", "1.jpg"), ("a", "2.jpg"), ("b", "3.jpg")]) == [
        None,
        "1.jpg",
        None,
    ]
    # in a later batch, too, although two paths have claimed it by now
    assert ledger.see(number, [("a", "4.jpg"), ("a", "1.jpg"), ("b", "3.jpg")]) == [
        "1.jpg",
        "1.jpg",
        "3.jpg",
    ]
    ledger.start_run(number)
    assert ledger.see(number, [("a", "2.jpg")]) == [None]
    ledger.close()
