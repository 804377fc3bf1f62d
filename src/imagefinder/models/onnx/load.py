"""From files to a model that embeds."""

from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.models.onnx.files import OnnxFiles


def load_onnx(files: OnnxFiles, *, device: str = "auto") -> OnnxEmbedder:
    """The model, on a device of DEVICES; an OnnxTextEmbedder where there is a text side.

    Raises ModelError for a graph that is damaged or does not turn pictures into embeddings, and
    UsageError for a device that is not there.
    """
    if files.text is None:
        return OnnxEmbedder(files, device=device)
    from imagefinder.models.onnx.text import OnnxTextEmbedder  # only these need a tokenizer

    return OnnxTextEmbedder(files, files.text, device=device)
