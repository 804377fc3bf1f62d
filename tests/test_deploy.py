"""deploy/: files that parse, one version throughout, sizes that are those of the capacity plan."""

import re
from math import log
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import capacity, capacity_page
from benchmarks.capacity import GIB, SIZES, Figures, Node, Plan, Shape, line
from container.recipe import read_stages
from imagefinder.stores.milvus.address import parse_address

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy" / "milvus"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
VALUES = {
    size: yaml.safe_load((DEPLOY / f"values-{size}.yaml").read_text(encoding="utf-8"))
    for size in SIZES
}
SERVICES = ("imagefinder-1", "imagefinder-2")
# What the chart 4.2.45 knows, as far as it is used here: a key that it does not know it ignores.
CHART: dict[str, Any] = {
    "cluster": {"enabled"},
    "image": {"all"},
    "extraConfigFiles": {"user.yaml"},
    "standalone": {"messageQueue", "resources", "persistence"},
    "queryNode": {"replicas", "resources", "disk"},
    "indexNode": {"replicas", "resources", "disk"},
    "dataNode": {"replicas", "resources"},
    "proxy": {"replicas", "resources"},
    "mixCoordinator": {"resources"},
    "etcd": {"replicaCount", "persistence"},
    "minio": {"mode", "persistence"},
    "pulsarv3": {"enabled"},
}


def text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


# versions


def test_what_is_deployed_is_what_is_tested() -> None:
    lock = (ROOT / "requirements" / "milvus.txt").read_text(encoding="utf-8")
    (tested,) = re.findall(r"^milvus==(\S+)", lock, re.MULTILINE)
    assert COMPOSE["services"]["milvus"]["image"] == f"milvusdb/milvus:v{tested}"
    assert {values["image"]["all"]["tag"] for values in VALUES.values()} == {f"v{tested}"}


def test_every_image_is_pinned() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()}
    pinned = {image for image in images if re.search(r":\S*\d", image)}
    assert images - pinned == {"imagefinder-cluster"}  # built here
    base = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (python,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", base, re.MULTILINE)
    assert f"ARG PYTHON_IMAGE={python}\n" in text("Dockerfile")


def test_the_docs_name_the_chart_that_the_values_are_for() -> None:
    docs = (ROOT / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
    files = [docs, *(text(f"values-{size}.yaml") for size in SIZES)]
    assert [re.findall(r"--version (\S+)", file) for file in files] == [["4.2.45"]] * len(files)


# compose.yaml


def test_the_services_are_alike_and_share_one_collection() -> None:
    one, other = (COMPOSE["services"][name] for name in SERVICES)
    assert one == other
    where = parse_address(one["environment"]["IMAGEFINDER_COLLECTION"])
    assert where.host in COMPOSE["services"]
    assert where.media is not None
    bucket = where.media.removeprefix("s3://").partition("/")[0]
    minio = COMPOSE["services"]["minio"]
    assert f"mkdir -p /data/{bucket} " in minio["command"][0]
    assert one["environment"]["AWS_ENDPOINT_URL"] == "http://minio:9000"
    assert not {"volumes", "ports"} & set(one)  # nothing is theirs alone


def test_the_proxy_is_before_all_of_them_and_the_only_one_that_is_reached() -> None:
    caddy = text("Caddyfile")
    (upstreams,) = re.findall(r"reverse_proxy (.+) \{", caddy)
    assert upstreams.split() == [f"{name}:8000" for name in SERVICES]
    assert "health_uri /readyz" in caddy
    ports = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert ports == {"proxy": ["127.0.0.1:${PORT:-8000}:8000"]}


def test_the_services_have_no_rights_and_everything_a_limit() -> None:
    for name in SERVICES:
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert all("mem_limit" in service for service in COMPOSE["services"].values())


def test_no_password_has_a_default() -> None:
    services = COMPOSE["services"]
    secrets = [
        value
        for service in services.values()
        for name, value in service.get("environment", {}).items()
        if re.search("SECRET|PASSWORD", name)
    ]
    assert len(secrets) == 4
    assert all(value.startswith("${MINIO_PASSWORD:?") for value in secrets)
    assert "accessKey" not in yaml.dump(VALUES)


def test_whoever_is_waited_for_says_when_it_is_ready() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            # the services' own check comes with their image
            assert "healthcheck" in services[other] or other in SERVICES


def test_the_image_is_that_of_the_service_with_locked_packages() -> None:
    service, _, final = read_stages(DEPLOY / "Dockerfile")
    assert service.base == "imagefinder"
    assert [step.keyword for step in final.steps] == ["COPY"]
    assert "--require-hashes -r /opt/cluster.txt" in text("Dockerfile")
    build = COMPOSE["services"]["imagefinder-1"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert (context / "cluster.txt").is_file()
    assert (context / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


# the values, and the plan


@pytest.mark.parametrize("size", SIZES)
def test_the_chart_knows_every_key(size: str) -> None:
    for part, values in VALUES[size].items():
        assert set(values) <= CHART[part], part


@pytest.mark.parametrize(
    "file", [capacity_page.PAGE, *capacity_page.files()], ids=lambda file: file.name
)
def test_page_and_files_say_what_the_results_say(file: Path) -> None:
    assert capacity_page.rendered(file) == file.read_text(encoding="utf-8"), (
        "make it anew: python -m benchmarks.capacity_page"
    )


@pytest.mark.parametrize("size", ["100m", "1b"])
def test_the_nodes_hold_all_images_and_answer_all_searches(size: str) -> None:
    plan, values = capacity.plan(size), VALUES[size]["queryNode"]
    requests, count = values["resources"]["requests"], values["replicas"]
    memory = count * gib(requests["memory"]) * GIB
    assert memory * capacity.LOADED >= plan.images * plan.unit.memory
    cores = count * float(requests["cpu"])
    assert cores * capacity.BUSY >= plan.searches * plan.search_seconds
    objects = 4 * gib(VALUES[size]["minio"]["persistence"]["size"]) * GIB / 2
    assert objects >= plan.objects
    segment = yaml.safe_load(VALUES[size]["extraConfigFiles"]["user.yaml"])["dataCoord"]["segment"]
    kind = "diskSegmentMaxSize" if plan.shape.index == "diskann" else "maxSize"
    assert segment[kind] * 2**20 == plan.shape.segment
    if plan.unit.ssd:
        ssd = count * gib(requests["ephemeral-storage"]) * GIB
        assert ssd >= plan.images * plan.unit.ssd


def test_a_million_images_fit_into_one_process() -> None:
    plan = capacity.plan("1m")
    resources = VALUES["1m"]["standalone"]["resources"]
    assert gib(resources["limits"]["memory"]) * GIB * capacity.LOADED >= (
        plan.images * plan.unit.memory
    )
    assert COMPOSE["services"]["milvus"]["mem_limit"] == (
        resources["limits"]["memory"].removesuffix("Gi") + "g"
    )


def gib(size: str) -> float:
    number, unit = size[:-2], size[-2:]
    assert unit == "Gi"
    return float(number)


# the formula


FIGURES = Figures(
    {
        **{f"{index}, {size:,}: segments": parts for index in ("hnsw", "ivf_sq8")
           for size, parts in ((1_000, 1), (4_000, 2))},
        "hnsw, 1,000: processor time a search": 1 + 0.5 * log(1_000),
        "hnsw, 4,000: processor time a search": 1 + 0.5 * 2 * log(2_000),
        "ivf_sq8, 1,000: processor time a search": 3.0,
        "ivf_sq8, 4,000: processor time a search": 6.0,
        "hnsw, 1,000: processor time an image": 2.0,
        "hnsw, 4,000: processor time an image": 4.0,
        "ivf_sq8, 1,000: processor time an image": 1.0,
        "ivf_sq8, 4,000: processor time an image": 1.0,
        "hnsw: memory an image": 2500.0,
        "hnsw: disk an image": 3000.0,
        "ivf_sq8: memory an image": 1500.0,
        "ivf_sq8: disk an image": 2000.0,
    },
    embedding=25.0,
    service=50.0,
)  # fmt: skip
NODE = Node(1, cores=8, memory=10 * GIB)


def test_the_plan_is_what_an_image_costs_times_the_images() -> None:
    plan = Plan(10**7, Shape("hnsw", capacity.SEGMENT, NODE, weeks=1), FIGURES, searches=6)
    assert plan.memory == pytest.approx(10**7 * 2500 / capacity.LOADED)
    assert plan.objects == 10**7 * 3000
    assert plan.segments == 5000
    assert plan.search_seconds == pytest.approx((1 + 0.5 * 5000 * log(2000)) / 1000)
    assert plan.search_cores == pytest.approx(6 * plan.search_seconds / capacity.BUSY)
    assert plan.query_nodes.count == 24  # the cores decide
    assert plan.build_seconds == 10**7 * 0.004
    assert plan.embedding_seconds == 10**7 / 25
    assert plan.workers == 1


def test_larger_segments_make_fewer_and_lists_take_longer_the_more_images_there_are() -> None:
    large = Plan(10**7, Shape("hnsw", 8 * capacity.SEGMENT, NODE, weeks=1), FIGURES)
    assert large.segments == 625
    lists = Plan(10**7, Shape("ivf_sq8", capacity.SEGMENT, NODE, weeks=1), FIGURES)
    assert lists.search_seconds == pytest.approx((2 + 10**7 / 1000) / 1000)
    assert lists.unit.ssd == 1024


def test_diskann_keeps_codes_in_memory_and_whole_nodes_in_sectors() -> None:
    unit = FIGURES.unit("diskann")
    assert unit.memory == pytest.approx(1500 - 256 + 0.225 * 1024)
    assert unit.ssd == pytest.approx(1024 + 4096 / 3 + 128)
    assert not unit.measured


def test_costs_are_prices_times_what_runs() -> None:
    prices = {"vcpu_hour": 1.0, "gib_hour": 0.1, "ssd_gib_month": 0.01, "object_gib_month": 0.001}
    shape = Shape("hnsw", capacity.SEGMENT, NODE, weeks=1)
    plan = Plan(10**6, shape, FIGURES, prices=prices)
    running = {"a": Node(2, cores=4, memory=8 * GIB, ssd=100 * GIB)}
    assert plan.monthly(running) == pytest.approx(
        8 * 730 + 16 * 730 * 0.1 + 200 * 0.01 + 10**6 * 3000 / GIB * 0.001
    )
    assert plan.one_off == pytest.approx((10**6 / 25 + 10**6 * 0.004) / 3600 * 1.4)


def test_a_line_that_does_not_grow_goes_through_nothing() -> None:
    assert line([1, 2, 3], [3, 5, 7]) == pytest.approx((1, 2))
    assert line([1, 2, 3], [5, 4, 6.5]) == pytest.approx((3.66667, 0.75), abs=1e-4)
    assert line([1, 2, 4], [5, 5, 4]) == (0.0, 1.0)
    assert line([1, 2, 4], [0.5, 2, 6]) == (0.0, 1.5)
    assert line([2], [4]) == (0.0, 2.0)
