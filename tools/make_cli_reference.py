"""Write `docs/reference/cli.md` from the command line itself: its help texts, options and examples.

    python tools/make_cli_reference.py

A test compares the committed page with what this makes. The examples run with the docs' other
commands, in the order of the page; an HTML comment above one says what has to be there first.
"""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from imagefinder.cli import app, commands

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
GROUPS = {
    "Index and search": ("index", "search", "download"),
    "Look into a collection": ("status", "list", "show", "skipped"),
    "Keep it right": ("remove", "relocate"),
    "Serve": ("serve", "gradio"),
    "Embeddings out and in": ("export", "import"),
    "Models": (
        "models",
        "models pull",
        "models add",
        "models use",
        "models drop",
        "models show",
        "models remove",
        "models convert",
    ),
    "Measure and learn": ("evaluate", "adapt", "track register"),
    "Data sets": ("dataset report", "dataset clean", "dataset split", "dataset export"),
    "Whole collections": ("collections", "backup", "restore", "delete-collection"),
}
REST = "More"  # commands that no group names yet
MARKS = {
    "search": "first: imagefinder index ~/Pictures",
    "serve": "not run: it would serve until Ctrl-C",
    "gradio": "not run: it would serve until Ctrl-C",
    "relocate": "not run: the folders of the example are not there",
    "import": "first: imagefinder export embeddings.csv -c photos",
    "migrate": "not run: it needs a Milvus server",
    "adapt": "not run: it needs a table of labels",
    "track register": "not run: it needs an MLflow server",
    "models convert": "not run: it needs PyTorch and the real hub",
}
PLACEHOLDERS = {int: "N", float: "N", str: "TEXT", Path: "FILE"}
INTRODUCTION = """\
# Command line

This page is made from the help texts; `imagefinder --help` and `imagefinder COMMAND --help` say the
same.
[Exit codes and environment](exit-codes.md) are on a page of their own. In parentheses stands
the variable of the environment that can hold an option.
"""


def main() -> None:
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"written: {PAGE}")


def reference() -> str:
    """The page."""
    group = command_line()
    return "\n".join([INTRODUCTION, *general(group), *grouped(group)]).rstrip() + "\n"


def command_line() -> TyperGroup:
    """All commands."""
    assert commands.__all__, "importing the commands registers them"
    group = typer.main.get_command(app.app)
    assert isinstance(group, TyperGroup)
    return group


def general(group: TyperGroup) -> Iterator[str]:
    """What goes before a command."""
    yield "## General options\n"
    yield from table(group)


def grouped(group: TyperGroup) -> Iterator[str]:
    """Every command, once."""
    named = {name for names in GROUPS.values() for name in names}
    every = with_subcommands(group)
    rest = tuple(name for name in every if name not in named)
    for title, names in {**GROUPS, REST: rest}.items():
        if names:
            yield f"## {title}\n"
        for name in names:
            yield from section(name, every[name])


def with_subcommands(group: TyperGroup) -> dict[str, TyperCommand | TyperGroup]:
    """Every command by what is typed; a group is one, too."""
    every: dict[str, TyperCommand | TyperGroup] = {}
    for name, command in group.commands.items():
        assert isinstance(command, TyperCommand | TyperGroup)
        every[name] = command
        if isinstance(command, TyperGroup):
            below = with_subcommands(command)
            every |= {f"{name} {second}": subcommand for second, subcommand in below.items()}
    return every


def section(name: str, command: TyperCommand | TyperGroup) -> Iterator[str]:
    """One command: what it does, how it is called, an example."""
    arguments = [str(p.metavar) for p in command.params if isinstance(p, TyperArgument)]
    yield f"### {name}\n"
    yield f"{command.help}\n"
    yield f"```text\n{' '.join(['imagefinder', name, '[OPTIONS]', *arguments])}\n```\n"
    yield from table(command)
    if command.epilog:
        if name in MARKS:
            yield f"<!-- {MARKS[name]} -->"
        yield "```console"
        for example in command.epilog.removeprefix("Example:").split("  and then  "):
            yield f"$ {example.strip()}\n..."
        yield "```\n"


def table(command: TyperCommand | TyperGroup) -> Iterator[str]:
    """A row an argument or option; those of a panel of the help have a table of their own."""
    panels: dict[str, list[TyperArgument | TyperOption]] = {}
    for parameter in command.params:
        if isinstance(parameter, TyperArgument | TyperOption) and not parameter.hidden:
            panels.setdefault(parameter.rich_help_panel or "", []).append(parameter)
    for title, parameters in panels.items():
        if title:
            yield f"{title}:\n"
        yield "| argument or option | |\n| --- | --- |"
        yield from (f"| {call(parameter)} | {described(parameter)} |" for parameter in parameters)
        yield ""


def call(parameter: TyperArgument | TyperOption) -> str:
    """How it is written: `--filter EXPR`."""
    if isinstance(parameter, TyperArgument):
        return code(str(parameter.metavar))
    value = parameter.metavar or PLACEHOLDERS.get(value_type(parameter), "")
    options = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(code(f"{option} {value}".strip()) for option in options)


def value_type(parameter: TyperOption) -> type:
    """Of `str` and of `str | None` it is `str`."""
    annotation = parameter.type_descriptor.annotation
    return annotation if isinstance(annotation, type) else str


def described(parameter: TyperArgument | TyperOption) -> str:
    """Its help, and what holds without it."""
    text = cell(parameter.help or "").replace("*", r"\*")
    if isinstance(parameter, TyperOption) and parameter.multiple:
        text += " Can be given several times."
    if parameter.envvar:
        text += f" (`{parameter.envvar}`)"
    shown = parameter.show_default
    default = shown if isinstance(shown, str) else parameter.default
    if shown is False or default in (None, False, "", ()):
        return text
    return f"{text} Default: {'yes' if default is True else cell(str(default))}."


def code(text: str) -> str:
    return f"<code>{cell(text)}</code>" if "|" in text else f"`{text}`"


def cell(text: str) -> str:
    """A vertical bar would end the cell, a line its row."""
    return " ".join(text.split()).replace("|", "&#124;")


if __name__ == "__main__":
    main()
