"""The tokenizer of a model of transformers, cut and padded as the model was trained."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer, normalizers

from imagefinder.errors import ModelError
from imagefinder.models.processor import Config, read_config
from imagefinder.models.torch.files import NetworkFiles


@dataclass(frozen=True, slots=True)
class Habit:
    """How a family's texts looked in training, which no file of a model says."""

    padded: bool = False  # always to the longest there is, and what pads is not hidden
    lowercase: bool = False


SIGLIP = Habit(padded=True, lowercase=True)
HABITS: Mapping[str, Habit] = {"siglip": SIGLIP, "siglip2": SIGLIP}  # by model_type


@dataclass(frozen=True, slots=True)
class Texts:
    """A tokenizer that is ready, and the habit that it keeps. `length` is the longest text in
    tokens, `pad` the token that fills shorter ones."""

    tokenizer: Tokenizer
    habit: Habit
    length: int
    pad: int


def read_texts(files: NetworkFiles) -> Texts:
    """The tokenizer of a model that has one. Raises ModelError."""
    assert files.tokenizer is not None  # else it was not asked for
    config = read_config(files.config)
    settings = read_config(files.tokenizer_config) if files.tokenizer_config else {}
    try:
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(
            f"{files.tokenizer}: it is not a tokenizer.json that can be read: {error};"
            " copy the model's own again"
        ) from error
    habit = HABITS.get(str(config.get("model_type")), Habit())
    length = longest(config, settings)
    if length is None:
        raise ModelError(f"{files.config}: max_position_embeddings of text_config is missing")
    pad_token, pad = padding(tokenizer, config, settings)
    tokenizer.enable_truncation(length)  # the tokens that mark begin and end are counted, and stay
    if habit.padded:
        tokenizer.enable_padding(length=length, pad_id=pad, pad_token=pad_token)
    else:
        tokenizer.no_padding()
    if habit.lowercase:
        rest = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])
    return Texts(tokenizer, habit, length, pad)


def longest(config: Config, settings: Config) -> int | None:
    """Of a text, in tokens."""
    given = (text_config(config).get("max_position_embeddings"), settings.get("model_max_length"))
    limits = [limit for limit in given if isinstance(limit, int) and limit > 0]
    return min(limits, default=None)  # a file that knows of no limit says 1e30


def padding(tokenizer: Tokenizer, config: Config, settings: Config) -> tuple[str, int]:
    """What fills a text that is too short, and its number."""
    named = settings.get("pad_token")
    token = named.get("content") if isinstance(named, dict) else named
    if isinstance(token, str) and (number := tokenizer.token_to_id(token)) is not None:
        return token, number
    given = text_config(config).get("pad_token_id")
    number = given if isinstance(given, int) and given >= 0 else 0
    return tokenizer.id_to_token(number) or "", number


def text_config(config: Config) -> Config:
    """The part of a network's config that is about texts."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else {}
