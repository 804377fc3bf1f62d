"""A classifier's ONNX graph, cut at its features.

Reads and writes the file's format with protobuf, which ONNX Runtime brings along; the `onnx`
package, which would do the same, is larger than the rest of the models' code together.
"""

from collections.abc import Callable, Iterator, MutableSequence, Sequence
from functools import cache
from typing import Any, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from imagefinder.errors import ModelError

FEATURES = "features"  # what the cut graph's only output is called

# Products of their data with a weight, and how many axes the data has, where that is certain.
PRODUCTS = {"Gemm": 2, "FusedGemm": 2, "MatMul": None, "FusedMatMul": None}
# What may stand between the last product and the output. These go on with their first input ...
SHAPES = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
CURVES = ("Clip", "LogSoftmax", "Relu", "Sigmoid", "Softmax", "Tanh")
FIRST = frozenset((*SHAPES, *CURVES, "DequantizeLinear", "QuantizeLinear"))
# ... and these with the one that is not constant: a bias, a temperature.
EITHER = frozenset(("Add", "Sub", "Mul", "Div"))

# The fields that are needed, with their numbers in onnx.proto; all others pass through unread.
# A name is the type of a message, two dots before it are for a list.
STRING, INT32, INT64, STRINGS = "string", "int32", "int64", "..string"
SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "ModelProto": {"graph": (7, "GraphProto")},
    "GraphProto": {
        "node": (1, "..NodeProto"),
        "initializer": (5, "..TensorProto"),
        "input": (11, "..ValueInfoProto"),
        "output": (12, "..ValueInfoProto"),
        "value_info": (13, "..ValueInfoProto"),
    },
    "NodeProto": {
        "input": (1, STRINGS),
        "output": (2, STRINGS),
        "op_type": (4, STRING),
        "attribute": (5, "..AttributeProto"),
    },
    "AttributeProto": {
        "name": (1, STRING),
        "i": (3, INT64),
        "g": (6, "GraphProto"),
        "graphs": (11, "..GraphProto"),
        "type": (20, INT32),
    },
    "TensorProto": {"name": (8, STRING), "data_location": (14, INT32)},
    "ValueInfoProto": {"name": (1, STRING), "type": (2, "TypeProto")},
    "TypeProto": {"tensor_type": (1, "TensorTypeProto")},
    "TensorTypeProto": {"elem_type": (1, INT32), "shape": (2, "ShapeProto")},
    "ShapeProto": {"dim": (1, "..DimensionProto")},
    "DimensionProto": {},
}
NOT_A_GRAPH = "the file is not an ONNX graph; fetch or export it again"
FLOAT, INT, EXTERNAL = 1, 2, 1  # TensorProto.FLOAT, AttributeProto.INT, TensorProto.EXTERNAL


class Named(Protocol):
    """A tensor, or an input or output."""

    name: str


class Tensor(Named, Protocol):
    """A weight."""

    data_location: int


class Attribute(Protocol):
    """Of a node; `If` and `Loop` have graphs in theirs."""

    name: str
    i: int
    type: int
    g: "Graph"
    graphs: Sequence["Graph"]


class Node(Protocol):
    """One operation."""

    input: MutableSequence[str]
    output: MutableSequence[str]
    op_type: str
    attribute: Sequence[Attribute]


class Graph(Protocol):
    """Nodes come after those that they need."""

    node: MutableSequence[Node]
    initializer: MutableSequence[Tensor]
    input: MutableSequence[Named]
    output: MutableSequence[Named]
    value_info: MutableSequence[Named]


def feature_graph(data: bytes) -> bytes:
    """The graph up to the features: the data that the last matrix product before the output
    multiplies with a weight. They become the only output, in float32; what stood behind goes.

    Raises ModelError where there is no such product.
    """
    model = message_class("ModelProto")()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(NOT_A_GRAPH) from error
    graph: Graph = model.graph
    if not graph.node:
        raise ModelError(NOT_A_GRAPH)
    features, axes = features_of(graph)
    keep_what_leads_to(features, graph)
    if any(tensor.data_location == EXTERNAL for tensor in graph.initializer):
        raise ModelError(
            "a classifier with its weights in a file of their own cannot be cut;"
            " save it as one file (onnx.save does)"
        )
    give_out(features, axes, graph)
    cut: bytes = model.SerializeToString()
    return cut


def features_of(graph: Graph) -> tuple[str, int | None]:
    """The name of what the last product multiplies with a weight, and how many axes it has."""
    producers = {name: node for node in graph.node for name in node.output}
    constant = constants(graph)
    for output in graph.output:
        name = output.name
        while (node := producers.get(name)) is not None:
            data = [given for given in node.input if given and given not in constant]
            if node.op_type in PRODUCTS and len(data) == 1:
                return data[0], PRODUCTS[node.op_type]
            if node.op_type not in FIRST and not (node.op_type in EITHER and len(data) == 1):
                break
            name = data[0] if data else ""
    raise ModelError(
        "the graph does not end in a matrix product with a weight (Gemm, MatMul), so it has no"
        " feature layer to be cut at; it may give features already: load it without `features`"
    )


def constants(graph: Graph) -> set[str]:
    """The names of what is the same for every input: weights, and what is computed from them alone.

    Before IR version 4 weights are listed among the inputs, too."""
    names = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        known = all(given in names for given in node.input if given)
        if known and (node.op_type == "Constant" or any(node.input)) and not captured(node):
            names.update(node.output)
    return names


def keep_what_leads_to(name: str, graph: Graph) -> None:
    """Everything else goes out of the graph."""
    wanted = {name}
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if wanted.intersection(node.output):
            wanted.update(node.input, captured(node))
        else:
            del graph.node[index]
    for things in (graph.initializer, graph.input, graph.value_info):
        keep(things, wanted)


def keep(things: MutableSequence[Tensor] | MutableSequence[Named], names: set[str]) -> None:
    """One by one and in place: a copy would hold the weights twice."""
    for index in reversed(range(len(things))):
        if things[index].name not in names:
            del things[index]


def captured(node: Node) -> set[str]:
    """What the graphs within a node take from around it, and the names of their own."""
    return {name for attribute in node.attribute for name in names_within(attribute)}


def names_within(attribute: Attribute) -> Iterator[str]:
    for graph in (attribute.g, *attribute.graphs):
        for node in graph.node:
            yield from (*node.input, *captured(node))
        yield from (output.name for output in graph.output)


def give_out(name: str, axes: int | None, graph: Graph) -> None:
    """Make `name` the only output.

    A cast stands before it, so that its type is known: nothing in the file says that of a tensor
    within, but what is cast to float32 is float32. The number of axes, too, has to be stated;
    without it ONNX Runtime finds out, but `onnx.checker` is not content."""
    del graph.output[:]
    output = message_class("ValueInfoProto")(name=unused(FEATURES, graph))
    output.type.tensor_type.elem_type = FLOAT
    if axes is not None:
        output.type.tensor_type.shape.dim.extend([message_class("DimensionProto")()] * axes)
    graph.output.append(output)
    cast = message_class("NodeProto")(op_type="Cast", input=[name], output=[output.name])
    cast.attribute.append(message_class("AttributeProto")(name="to", i=FLOAT, type=INT))
    graph.node.append(cast)


def unused(name: str, graph: Graph) -> str:
    """The name, or a longer one if the graph has it already."""
    taken = {used for node in graph.node for used in (*node.input, *node.output, *captured(node))}
    while name in taken:
        name += "_"
    return name


@cache
def message_class(name: str) -> Callable[..., Any]:
    """A message of SCHEMA. It has whatever fields stand there."""
    found: Callable[..., Any] = message_factory.GetMessageClass(
        pool().FindMessageTypeByName(f"imagefinder.{name}")
    )
    return found


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Of our own: in the common one, these names may belong to the `onnx` package."""
    file = descriptor_pb2.FileDescriptorProto(name="imagefinder.proto", package="imagefinder")
    for message, fields in SCHEMA.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            describe(described.field.add(name=field, number=number), kind)
    made = descriptor_pool.DescriptorPool()
    made.Add(file)
    return made


def describe(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    name = kind.removeprefix("..")
    field.label = field.LABEL_OPTIONAL if name == kind else field.LABEL_REPEATED
    if name in SCHEMA:
        field.type, field.type_name = field.TYPE_MESSAGE, f".imagefinder.{name}"
    else:
        field.type = getattr(field, f"TYPE_{name.upper()}")
