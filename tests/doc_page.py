"""The code blocks of a page of the docs, and running them in their order as a reader would.

What a fence of each language means:

    console   commands after `$ ` (`> ` goes on with one), each with the output to expect, if any;
              `...` in it stands for anything
    python    a program of its own; the output to expect is in a `text` fence right below
    sh        commands as they are
    text, csv, json    nothing to run

and an HTML comment right above a fence:

    <!-- not run: REASON -->    leave the fence out
    <!-- exits with: 2 -->      its last command does
    <!-- first: COMMAND -->     run this before it, unseen by the reader
"""

import os
import re
import signal
import subprocess
import threading
import tty
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import ndiff
from pathlib import Path

from markdown_it import MarkdownIt

RUN = {"console", "python", "sh"}
SHOWN = {"text", "csv", "json"}
COMMENT = re.compile(r"<!-- (not run|exits with|first): (.+?) -->", re.DOTALL)
SCORE = re.compile(r"(?<![\d.])-?\d\.\d{3}(?!\d)")
CLOSE = 0.0021  # another processor may round the last of three digits otherwise
SECONDS = 180.0  # for one page
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # bold, and the cursor coming and going
MARK = "\x1e"  # around the exit code of each command
HOME = "/home/ada"  # how the docs call the reader's home


@dataclass(frozen=True, slots=True)
class Step:
    """One command as a shell takes it. `expected` None accepts any output."""

    command: str
    line: int
    expected: str | None = None
    code: int = 0


@dataclass(slots=True)
class Page:
    """What a page holds: the steps to run, and the fences that are marked as not run."""

    steps: list[Step] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)


def read_page(markdown: str) -> Page:
    """Raises ValueError for a code block whose meaning is not clear."""
    page, marks, last = Page(), dict[str, str](), ""
    for token in MarkdownIt("commonmark").parse(markdown):
        language, line = token.info, (token.map or [0])[0] + 1
        if token.type == "html_block":
            marks |= {match[1]: match[2] for match in COMMENT.finditer(token.content)}
            continue
        if token.type in {"fence", "code_block"}:
            if language not in RUN | SHOWN:
                raise ValueError(f"line {line}: {language!r} is none of {sorted(RUN | SHOWN)}")
            if "not run" in marks:
                page.not_run.append(f"line {line}: {marks['not run']}")
            elif language in RUN:
                page.steps += steps_of(language, token.content, line, marks)
            elif language == "text" and last == "python":
                page.steps[-1] = replace(page.steps[-1], expected=token.content)
        marks, last = {}, language
    return page


def steps_of(language: str, text: str, line: int, marks: Mapping[str, str]) -> Iterator[Step]:
    """The steps of one fence that starts at a line of its page."""
    if "first" in marks:
        yield Step(marks["first"], line)
    if language == "console":
        steps = transcript(text, line + 1)
    elif language == "python":
        steps = [Step(f"python -W error - <<'END OF PROGRAM'\n{text}END OF PROGRAM", line)]
    else:
        steps = [Step(f"(set -e\n{text})", line)]
    yield from steps[:-1]
    yield replace(steps[-1], code=int(marks.get("exits with", 0)))


def transcript(text: str, line: int) -> list[Step]:
    """The commands of a console session with what it shows of their output."""
    before, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if before or not parts:
        raise ValueError(f"line {line}: a console session begins with `$ `")
    steps = []
    for part in parts:
        first, *rest = part.splitlines()
        more = next((n for n, row in enumerate(rest) if not row.startswith(">")), len(rest))
        command = "\n".join([first, *(row[1:].removeprefix(" ") for row in rest[:more])])
        steps.append(Step(command, line, "\n".join(rest[more:]).strip("\n") or None))
        line += 1 + len(rest)
    return steps


def run_page(page: Page, home: Path, environment: Mapping[str, str]) -> list[str]:
    """Run the steps in one shell that sees a terminal, in its home; what went wrong, in words."""
    script = home.with_name("script.sh")
    script.write_text("".join(f"{s.command}\nprintf '{MARK}%d{MARK}' $?\n" for s in page.steps))
    output = run(["bash", str(script)], home, environment).replace(os.path.realpath(home), HOME)
    *pieces, rest = output.split(MARK)
    codes = [int(code) for code in pieces[1::2]]
    problems = []
    for step, shown, code in zip(page.steps, pieces[0::2], codes, strict=False):
        where = f"line {step.line}: $ {step.command}\n"
        if code != step.code:
            problems.append(f"{where}exit code {code}, not {step.code}\n{shown}")
        elif step.expected is not None and not agree(step.expected, shown):
            lines = ndiff(step.expected.splitlines(), shown.strip().splitlines())
            problems.append(where + "\n".join(lines))
    if len(codes) < len(page.steps):
        unfinished = page.steps[len(codes)]
        problems.append(f"line {unfinished.line}: $ {unfinished.command}\ndid not end\n{rest}")
    return problems


def run(command: Sequence[str], home: Path, environment: Mapping[str, str]) -> str:
    """What a command prints on a terminal. Questions are answered with y."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    answers = home.with_name("answers")
    answers.write_text("y\n" * 20)
    with answers.open() as stdin:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=dict(environment),
            stdin=stdin,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
    os.close(theirs)
    clock = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    clock.start()
    printed = bytearray()
    while data := read_some(ours):
        printed += data
    process.wait()
    clock.cancel()
    os.close(ours)
    return STYLE.sub("", printed.decode())


def read_some(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so that no one has the other side open any more
        return b""


def agree(expected: str, shown: str) -> bool:
    """Whether an output is the expected one, whatever the width of columns."""
    wanted = tidy(expected)
    scores = [float(score) for score in SCORE.findall(wanted)]
    between = [re.escape(text).replace(r"\.\.\.", ".*?") for text in SCORE.split(wanted)]
    match = re.fullmatch(r"(-?\d\.\d{3})".join(between), tidy(shown), re.DOTALL)
    return match is not None and all(
        abs(float(found) - score) < CLOSE
        for found, score in zip(match.groups(), scores, strict=True)
    )


def tidy(text: str) -> str:
    return "\n".join(" ".join(row.split()) for row in text.strip().splitlines())
