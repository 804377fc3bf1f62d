"""The files of other programs: what is found in them, what is said of them, and what is refused."""

import gzip
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from imagefinder.errors import MissingExtraError, TransferError
from imagefinder.exchange import Imported, read
from imagefinder.types import ImageRecord

IDS = ["a.jpg", "b.jpg", "c.jpg"]
ROWS = np.array([[3, 4, 0], [0, 0.5, 0], [-1, 0, 0]], np.float32)
UNIT = np.array([[0.6, 0.8, 0], [0, 1, 0], [-1, 0, 0]], np.float32)
SCALED = "2 embeddings were scaled to length 1 (cosine)"


def content(imported: Imported) -> list[ImageRecord]:
    """The records, after a check that the embeddings are UNIT."""
    records, embeddings = zip(*imported.rows, strict=True)
    np.testing.assert_allclose(np.stack(embeddings), UNIT, atol=1e-7)
    assert imported.dim == 3
    assert imported.model is None
    return list(records)


def bare(id: str, uri: str = "", **metadata: object) -> ImageRecord:
    return ImageRecord(id, uri, "", 0, 0, "", 0, metadata=metadata)


def csv_file(tmp_path: Path, text: str, name: str = "old.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


# --- CSV ---


@pytest.mark.parametrize(
    "embeddings",
    [
        ["[3, 4, 0]", "[0, 0.5, 0]", "[-1, 0, 0]"],
        ["[3. 4. 0.]", "[0.  0.5 0. ]", "[-1.  0.\n  0.]"],
        ["3 4 0", "0,0.5,0", "-1;0;0"],
        ["(3.0, 4.0, 0.0)", "array([0. , 0.5, 0. ], dtype=float32)", "tensor([-1., 0., 0.])"],
        ["[np.float32(3.0), np.float32(4), np.float32(0)]", "[0, 5e-1, 0,]", "[[-1, 0, 0]]"],
    ],
)
@pytest.mark.parametrize("column", ["embedding", "features", "Vector"])
def test_csv_with_an_embedding_column(column: str, embeddings: list[str], tmp_path: Path):
    lines = [f'{id},"{text}",{n}' for n, (id, text) in enumerate(zip(IDS, embeddings, strict=True))]
    path = csv_file(tmp_path, "\n".join([f"img_id,{column},label", *lines]))
    imported = read(path)
    assert content(imported) == [bare(id, label=n) for n, id in enumerate(IDS)]
    assert imported.notes == [SCALED]


@pytest.mark.parametrize(
    "columns", ["0,1,2", "1,2,3", "f0,f1,f2", "dim_0,dim_1,dim_2", "Feature-1,Feature-2,Feature-3"]
)
def test_csv_with_a_column_a_number(columns: str, tmp_path: Path):
    lines = [f"{id},{','.join(map(str, row))}" for id, row in zip(IDS, ROWS.tolist(), strict=True)]
    path = csv_file(tmp_path, "\r\n".join([f"filename,{columns}", *lines, "", ""]))
    assert content(read(path)) == [bare(id, uri=id) for id in IDS]


@pytest.mark.parametrize(("name", "sign"), [("a.tsv", "\t"), ("a.csv", ";"), ("a.csv", "|")])
def test_csv_with_other_separators_and_a_byte_order_mark(name: str, sign: str, tmp_path: Path):
    lines = [["id", "url", "embedding"]]
    lines += [[id, f"http://x/{id}", str(r)] for id, r in zip(IDS, ROWS.tolist(), strict=True)]
    path = csv_file(tmp_path, "\ufeff" + "\n".join(map(sign.join, lines)), name)
    assert content(read(path)) == [bare(id, uri=f"http://x/{id}") for id in IDS]


def test_csv_as_pandas_writes_it_with_an_index(tmp_path: Path):
    lines = [f'{id},"{row}"' for id, row in zip(IDS, ROWS.tolist(), strict=True)]
    assert content(read(csv_file(tmp_path, "\n".join([",embedding", *lines])))) == [
        bare(id) for id in IDS
    ]


def test_ids_and_metadata_of_csv(tmp_path: Path):
    text = '''key,path,label,year,zip,tags,size,width,seen,embedding
1e5,p/1.jpg,cat,2020,007,"[""a"", 1]",large,640,true,"[1, 0]"
1.50,p/2.jpg,"""quoted""",20.5,null,[not json],,0.5,,"[0, 1]"
'''
    first, second = (record for record, _ in read(csv_file(tmp_path, text)).rows)
    assert (first.id, first.uri, first.width) == ("1e5", "p/1.jpg", 640)
    assert first.metadata == {
        "label": "cat",
        "year": 2020,
        "zip": "007",
        "tags": ["a", 1],
        "size": "large",
        "seen": True,
    }
    assert (second.id, second.width) == ("1.50", 0)
    assert second.metadata == {
        "label": "quoted",
        "year": 20.5,
        "tags": "[not json]",
        "width": "0.5",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("id,embedding\n", "holds no embeddings"),
        ("id,label\na,b\n", "no column of embeddings among id, label; call it embedding"),
        ("label,embedding\na,[1]\n", "no column of ids among label; call one of them id"),
        ("id,x5,x6\na,1,2\n", "no column of embeddings among id, x5, x6"),
        ("id,x0,x2\na,1,2\n", "no column of embeddings among id, x0, x2"),
        ("0.5,0.25,0.125\n", "no column of embeddings"),
        ("id,id,embedding\na,b,[1]\n", "two columns are called id"),
        ('id,embedding\na,"[1,0]"\nb,"[1,0,0]"\n', r'row 2 \("b"\): .* 3 numbers, the first row'),
        ('id,embedding\na,"[1,0]"\nb,"[0,0]"\n', r'row 2 \("b"\): the embedding is all zeros'),
        ('id,embedding\na,"[1,NaN]"\n', r'row 1 \("a"\): .* not a finite number'),
        ('id,embedding\na,"[1,1e999]"\n', r'row 1 \("a"\): .* not a finite number'),
        ('id,embedding\na,"[1 ... 2]"\n', "row 1: .* cut short"),
        ("id,embedding\na,cat\n", "row 1: the embedding is no list of numbers: cat"),
        ("id,embedding\na,\n", "row 1: the embedding is no list of numbers"),
        ('id,embedding\na,"[[1, 2], [3, 4]]"\n', "row 1: .* no list of numbers"),
        ("id,embedding\na,[[1 2] [3 4]]\n", "row 1: .* no list of numbers"),
        ("id,embedding\na,5\n", "row 1: .* no list of numbers"),
        (f"id,embedding\na,{'[' * 9000}\n", "row 1: .* no list of numbers"),
        (f"id,embedding\na,[{'9' * 400}]\n", "row 1 .* not a finite number"),
        ("id,embedding\na,[]\n", r"row 1 .* no list of numbers"),
        ("id,f0,f1\na,1,x\n", "row 1: the embedding is not all numbers: .*'x'"),
        ('id,embedding\na,"[1]"\nb,"[1]",c\n', "row 2: 3 cells, the first line names 2 columns"),
        ('id,embedding\na,"[1]"\nb,"[1\n', "no CSV that can be read: unexpected end"),
        ('id,embedding\n,"[1]"\n', r"row 1 .* the id is missing"),
        (f"id,embedding\n{'é' * 513},[1]\n", "the id has 1,026 bytes, the limit is 1,024"),
    ],
)
def test_csv_that_cannot_be_used(text: str, problem: str, tmp_path: Path):
    path = csv_file(tmp_path, text)
    with pytest.raises(TransferError, match=problem) as caught:
        list(read(path).rows)
    assert str(path) in str(caught.value)


def test_csv_in_another_encoding(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes("id,embedding\nü,[1]\n".encode("latin-1"))
    with pytest.raises(TransferError, match="is not UTF-8 text"):
        list(read(path).rows)


def test_the_first_row_of_an_id_counts(tmp_path: Path):
    text = 'id,embedding\na,"[1, 0]"\nb,"[0, 1]"\na,"[0, 1]"\nb,"[0, 1]"\n'
    imported = read(csv_file(tmp_path, text))
    assert [(record.id, row.tolist()) for record, row in imported.rows] == [
        ("a", [1, 0]),
        ("b", [0, 1]),
    ]
    assert imported.notes == ['2 rows repeat an id and were left out; the first is row 3, "a"']


def test_tiny_and_huge_embeddings_have_a_direction(tmp_path: Path):
    text = 'id,embedding\na,"[3e-200, 4e-200]"\nb,"[3e200, 4e200]"\n'
    rows = [row.tolist() for _, row in read(csv_file(tmp_path, text)).rows]
    np.testing.assert_allclose(rows, [[0.6, 0.8]] * 2, rtol=1e-6)


# --- numpy ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("names", [("ids", "embeddings"), ("filenames", "feats"), ("a", "b")])
def test_npz(names: tuple[str, str], order: str, dtype: str, tmp_path: Path):
    path = tmp_path / "old.npz"
    embeddings = np.asarray(ROWS.astype(dtype), order=order)
    arrays = {names[0]: np.array(IDS), names[1]: embeddings, "year": np.arange(3)}
    np.savez_compressed(path, **arrays)
    assert content(read(path)) == [bare(id, year=year) for year, id in enumerate(IDS)]


def test_npz_without_names(tmp_path: Path):
    path = tmp_path / "old.npz"
    np.savez(path, ROWS, np.array([7, 8, 9]))
    assert content(read(path)) == [bare(id) for id in "789"]


def test_npz_with_a_file_of_ids(tmp_path: Path):
    path = tmp_path / "old.npz"
    np.savez(path, vectors=ROWS)
    with pytest.raises(TransferError, match="no array of ids among vectors"):
        read(path)
    ids = tmp_path / "names.txt"
    ids.write_text("\n".join(IDS) + "\n")
    assert content(read(path, ids=ids)) == [bare(id) for id in IDS]


def test_npz_that_is_ambiguous(tmp_path: Path):
    path = tmp_path / "old.npz"
    np.savez(path, left=ROWS, right=ROWS, ids=IDS)
    with pytest.raises(TransferError, match="several arrays could be the embeddings among left, r"):
        read(path)
    np.savez(path, embeddings=ROWS, this=IDS, that=IDS)
    with pytest.raises(TransferError, match="no array of ids among embeddings, this, that"):
        read(path)
    np.savez(path, embeddings=ROWS.astype(int), ids=IDS)
    with pytest.raises(TransferError, match="no array could be the embeddings"):
        read(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old.ids.txt", "a.jpg\nb.jpg\nc.jpg\n"),
        ("ids.json", '["a.jpg", "b.jpg", "c.jpg"]'),
        ("old.npy.ids.json", '{"ids": ["a.jpg", "b.jpg", "c.jpg"]}'),
        ("old_ids.json", '[{"key": "a.jpg"}, {"key": "b.jpg"}, {"key": "c.jpg"}]'),
        ("old.ids.csv", "name\na.jpg\nb.jpg\nc.jpg\n"),
    ],
)
def test_npy_with_ids_beside_it(name: str, text: str, tmp_path: Path):
    path = tmp_path / "old.npy"
    np.save(path, ROWS)
    with pytest.raises(TransferError, match=r"holds no ids; put them in old\.ids\.txt"):
        read(path)
    (tmp_path / name).write_text(text)
    assert content(read(path)) == [bare(id) for id in IDS]


def test_npy_with_the_wrong_number_of_ids(tmp_path: Path):
    path = tmp_path / "old.npy"
    np.save(path, ROWS)
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(TransferError, match=r"ids\.txt has 2 ids for 3 embeddings"):
        read(path)


def test_npy_of_another_shape(tmp_path: Path):
    path = tmp_path / "old.npy"
    np.save(path, ROWS[0])
    with pytest.raises(TransferError, match=r"expected floats of shape \(n, dim\), .* \(3,\)"):
        read(path)


# --- Parquet ---


@pytest.mark.parametrize("kind", ["list", "large", "fixed", "double", "text", "columns"])
def test_parquet(kind: str, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    types = {
        "list": pyarrow.list_(pyarrow.float32()),
        "large": pyarrow.large_list(pyarrow.float32()),
        "fixed": pyarrow.list_(pyarrow.float32(), 3),
        "double": pyarrow.list_(pyarrow.float64()),
    }
    columns = {"image_id": IDS, "year": [1, None, 3], "when": [None, None, "x"]}
    if kind in types:
        columns["whatever"] = pyarrow.array(ROWS.tolist(), types[kind])
    elif kind == "text":
        columns["embedding"] = [str(row) for row in ROWS.tolist()]
    else:
        columns |= {f"dim_{n}": ROWS[:, n] for n in range(3)}
    path = tmp_path / "old.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    assert content(read(path)) == [
        bare("a.jpg", year=1),
        bare("b.jpg"),
        bare("c.jpg", year=3, when="x"),
    ]


def test_parquet_that_cannot_be_used(tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "old.parquet"
    lists = pyarrow.array([[1.0], None], pyarrow.list_(pyarrow.float32()))
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "embedding": lists}), path)
    with pytest.raises(TransferError, match=r'row 2 \("b"\): the embedding has 0 numbers'):
        list(read(path).rows)
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "x": lists, "y": lists}), path)
    with pytest.raises(TransferError, match="several columns could be the embeddings: x, y"):
        read(path)
    path.write_text("no Parquet at all")
    with pytest.raises(TransferError, match="is no Parquet file that can be read"):
        read(path)


# --- FAISS ---


def faiss_index(path: Path, kind: str, rows: np.ndarray, ids: list[int] | None = None) -> None:
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)  # training such small indexes on busy cores took 20 s with two
    index = faiss.index_factory(rows.shape[1], kind)
    if not index.is_trained:
        index.train(rows)
    if ids is None:
        index.add(rows)
    else:
        index.add_with_ids(rows, np.array(ids))
    faiss.write_index(index, str(path))


def test_faiss_with_its_own_numbers(tmp_path: Path):
    path = tmp_path / "old.faiss"
    faiss_index(path, "IDMap,Flat", ROWS, [70, 50, 60])
    imported = read(path)
    assert [record.id for record in content(imported)] == ["70", "50", "60"]
    assert imported.notes[0].startswith("the ids are the numbers of the FAISS index")


@pytest.mark.parametrize(
    ("kind", "numbers", "ids"),
    [
        ("Flat", None, IDS),
        ("IDMap,Flat", [2, 1, 0], IDS[::-1]),
        ("IDMap2,Flat", [70, 50, 60], IDS),
        ("IDMap2,Flat", [70, 50, 60], {"50": "b.jpg", "60": "c.jpg", "70": "a.jpg"}),
        ("IDMap,Flat", [70, 50, 60], {"a.jpg": 70, "b.jpg": 50, "c.jpg": 60}),
        ("HNSW4", None, IDS),
    ],
)
def test_faiss_with_a_file_of_ids(kind: str, numbers: list[int], ids: object, tmp_path: Path):
    path = tmp_path / "old.index"
    faiss_index(path, kind, ROWS, numbers)
    (tmp_path / "old.index.ids.json").write_text(json.dumps(ids))
    imported = read(path)
    assert content(imported) == [bare(id) for id in IDS]
    assert imported.notes == [SCALED]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(["x"]))
    with pytest.raises(TransferError, match="the file of ids has 1 for 3 embeddings"):
        list(read(path, ids=other).rows)


@pytest.mark.parametrize(
    "kind", ["IVF4,Flat", "IVF4,PQ4x4", "PQ4x4", "IVF4,SQ8", "IDMap,HNSW4_SQ4"]
)
def test_faiss_indexes_that_keep_less(kind: str, tmp_path: Path):
    rows = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    numbers = [n * 3 + 5 for n in range(400)] if "I" in kind else None
    path = tmp_path / "old.faiss"
    faiss_index(path, kind, rows, numbers)
    imported = read(path)
    for (record, embedding), row, number in zip(
        imported.rows, rows, numbers or range(400), strict=True
    ):
        assert record.id == str(number)
        assert embedding @ row / np.linalg.norm(row) > (0.9999 if "Flat" in kind else 0.5)
    assert any("approximations" in note for note in imported.notes) == ("Flat" not in kind)


def test_faiss_numbers_that_are_no_places(tmp_path: Path):
    path = tmp_path / "old.faiss"
    faiss_index(path, "IVF1,Flat", ROWS, [70, 50, 60])
    ids = tmp_path / "old.faiss.ids.json"
    ids.write_text(json.dumps(IDS))
    with pytest.raises(TransferError, match="give a JSON object from numbers to ids"):
        list(read(path).rows)
    ids.write_text('{"70": "a.jpg", "50": "b.jpg"}')
    with pytest.raises(TransferError, match="none for number 60 of the index"):
        list(read(path).rows)


def test_faiss_vectors_that_cannot_be_had_back(tmp_path: Path):
    faiss = pytest.importorskip("faiss")
    path = tmp_path / "old.faiss"
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    index = faiss.IndexIVFSpectralHash(faiss.IndexFlatL2(8), 8, 1, 8, 1.0)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(path))
    with pytest.raises(TransferError, match="IndexIVFSpectralHash cannot be had back; export them"):
        read(path)


def test_faiss_that_is_none(tmp_path: Path):
    pytest.importorskip("faiss")
    path = tmp_path / "old.faiss"
    path.write_text("hello world")
    with pytest.raises(TransferError, match="is no FAISS index that can be read: Index type"):
        read(path)


# --- what is refused ---


class Bomb:
    """Unpickling one writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "it ran")


def pickles(tmp_path: Path, bomb: Bomb) -> dict[str, bytes]:
    objects = tmp_path / "objects"
    array = np.array([bomb, bomb], dtype=object)
    np.save(objects, array, allow_pickle=True)
    saved = objects.with_suffix(".npy").read_bytes()
    np.savez(objects, ids=array, embeddings=ROWS[:2], allow_pickle=True)
    archive = objects.with_suffix(".npz").read_bytes()
    dumped = pickle.dumps(bomb)
    return {
        **{f"a.{ending}": dumped for ending in ("pkl", "pickle", "p", "joblib", "npy", "npz")},
        **{f"b.{ending}": dumped for ending in ("csv", "parquet", "faiss", "pt")},
        "a.pkl.gz": gzip.compress(dumped),
        "old.pkl": pickle.dumps([1], protocol=0),
        "objects.npy": saved,
        "objects.npz": archive,
    }


def test_pickles_are_refused_and_not_run(tmp_path: Path):
    ran = tmp_path / "ran"
    for name, data in pickles(tmp_path, Bomb(ran)).items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(TransferError) as caught:
            list(read(path).rows)
        message = str(caught.value)
        assert "is a pickle, which is not loaded because loading one runs code" in message
        assert "numpy.savez('embeddings.npz', ids=ids, embeddings=vectors)" in message
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.csv", "cannot be read: No such file or directory"),
        ("folder.csv", "cannot be read: Is a directory"),
        ("notes.txt", r"the known ones are \.csv, \.tsv, \.npz, \.npy"),
        ("a.npz", "may be damaged"),
        ("a.npy", "may be damaged"),
        ("b.npz", "no array could be the embeddings among no columns"),
    ],
)
def test_what_is_no_such_file(name: str, problem: str, tmp_path: Path):
    (tmp_path / "folder.csv").mkdir()
    for other in ("notes.txt", "a.npz", "a.npy"):
        (tmp_path / other).write_text("hello")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(TransferError, match=problem):
        read(tmp_path / name)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_of_ids_where_it_is_not_wanted(ending: str, tmp_path: Path):
    path = tmp_path / f"a{ending}"
    path.write_text("id,embedding\na,[1]\n")
    with pytest.raises(TransferError, match="holds its ids itself"):
        read(path, ids=path)


@pytest.mark.parametrize(
    ("ending", "module", "extra"),
    [(".parquet", "pyarrow", "parquet"), (".faiss", "faiss", "faiss")],
)
def test_a_missing_extra_says_what_to_install(
    ending: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / f"a{ending}"
    path.write_text("x")
    with pytest.raises(MissingExtraError, match=rf"pip install 'imagefinder\[{extra}\]'"):
        read(path)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, imagefinder.exchange\n"
        "print([name for name in ('numpy', 'pyarrow', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
