"""The code blocks of a page of the docs, and running them in their order as a reader would.

What a fence of each language means:

    console   commands after `$ ` (`> ` goes on with one), each with the output to expect, if any;
              `...` in it stands for anything
    python    a program of its own; the output to expect is in a `text` fence right below
    sh        commands as they are
    text, csv, json    nothing to run

and an HTML comment right above a fence:

    <!-- not run: REASON -->    leave the fence out
    <!-- needs: Milvus -->      leave it out where there is no such server
    <!-- exits with: 2 -->      its last command does
    <!-- first: COMMAND -->     run this before it, unseen by the reader
    <!-- stays: URL -->         its last command is a server: it goes on in the background until the
                                page ends or another one is to stay, and what comes next waits for
                                the URL to answer. What it prints has to begin as shown.

The docs' services are at port 8000 of this machine; each page has a port of its own in its place.
The docs' Milvus server is at port 19530, and the real one, elsewhere, in its place.
"""

import os
import re
import signal
import subprocess
import threading
import tty
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import ndiff
from pathlib import Path
from typing import IO

from markdown_it import MarkdownIt

RUN = {"console", "python", "sh"}
SHOWN = {"text", "csv", "json"}
COMMENT = re.compile(r"<!-- (not run|needs|exits with|first|stays): (.+?) -->", re.DOTALL)
SCORE = re.compile(r"(?<![\d.])-?\d\.\d{3}(?!\d)")
CLOSE = 0.0021  # another processor may round the last of three digits otherwise
SECONDS = 480.0  # for one page
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # bold, and the cursor coming and going
MARK = "\x1e"  # around the exit code of each command
ENDED = "\x1f"  # when the shell and all its jobs have
HOME = "/home/ada"  # how the docs call the reader's home
PORT = "8000"  # where the docs' services are
MILVUS = "localhost:19530"  # where the docs' Milvus server is
CURL = re.compile(r"\bcurl\b")

# The shell that runs a page. `ready URL` waits for what was put into the background last.
PROLOGUE = """\
ready() {
    for _ in $(seq 600); do
        curl -sfo /dev/null "$1" && return
        kill -0 $! 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}
end_jobs() {
    kill $(jobs -p) 2>/dev/null
    wait
}
trap 'end_jobs; printf "\\x1f"' EXIT
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One command as a shell takes it. `expected` None accepts any output. `stays` is the URL at
    which a command answers that goes on in the background."""

    command: str
    line: int
    expected: str | None = None
    code: int = 0
    stays: str | None = None


@dataclass(slots=True)
class Page:
    """What a page holds: the steps to run, and the fences that are marked as not run."""

    steps: list[Step] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)  # what is not here, of which fences were left out

    @property
    def needs_curl(self) -> bool:
        """Whether it runs where there is curl only."""
        return any(step.stays or CURL.search(step.command) for step in self.steps)


def read_page(markdown: str, here: Collection[str] = ()) -> Page:
    """`here` is what there is of what fences need.

    Raises ValueError for a code block whose meaning is not clear."""
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
            elif marks.get("needs", "") not in {"", *here}:
                page.needs.add(marks["needs"])
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
    if "stays" in marks and language != "console":
        raise ValueError(f"line {line}: only a command of a console session stays")
    yield from steps[:-1]
    yield replace(steps[-1], code=int(marks.get("exits with", 0)), stays=marks.get("stays"))


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
    """Run the steps in one shell that sees a terminal, in its home; what went wrong, in words.

    `environment` names the page's own port in IMAGEFINDER_PORT, and in MILVUS where a Milvus server
    is."""
    port, milvus = environment["IMAGEFINDER_PORT"], environment.get("MILVUS", MILVUS)
    shown, of_servers = (
        output.replace(os.path.realpath(home), HOME)
        .replace(f"127.0.0.1:{port}", f"127.0.0.1:{PORT}")
        .replace(milvus, MILVUS)
        for output in run(page, home, environment)
    )
    *pieces, rest = shown.split(MARK)
    codes = [int(code) for code in pieces[1::2]]
    servers = iter(of_servers.split(MARK)[1:])
    problems = []
    for step, printed, code in zip(page.steps, pieces[0::2], codes, strict=False):
        where = f"line {step.line}: $ {step.command}\n"
        found = next(servers) if step.stays else printed
        if code != step.code:
            problems.append(f"{where}exit code {code}, not {step.code}\n{found}")
        elif not fits(step, found):
            lines = ndiff((step.expected or "").splitlines(), found.strip().splitlines())
            problems.append(where + "\n".join(lines))
    if len(codes) < len(page.steps):
        unfinished = page.steps[len(codes)]
        problems.append(f"line {unfinished.line}: $ {unfinished.command}\ndid not end\n{rest}")
    elif ENDED not in rest:
        problems.append("the server did not end")
    return problems


def fits(step: Step, shown: str) -> bool:
    """Whether a step printed what the page shows; of a server, the page shows the beginning."""
    if step.expected is None or agree(step.expected, shown):
        return True
    return step.stays is not None and agree(step.expected + "\n...", shown)


def run(page: Page, home: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    """What the steps print on a terminal, with a mark before and after each exit code, and what the
    servers print on another, with a mark before each. Questions are answered with y."""
    ours, theirs = os.openpty()
    ours_of_servers, theirs_of_servers = os.openpty()
    for terminal in (theirs, theirs_of_servers):
        tty.setraw(terminal)
    file = home.with_name("script.sh")
    text = script(page.steps, environment["IMAGEFINDER_PORT"], theirs_of_servers)
    file.write_text(text.replace(MILVUS, environment.get("MILVUS", MILVUS)))
    answers = home.with_name("answers")
    answers.write_text("y\n" * 20)
    with answers.open() as stdin:
        process = started(file, home, environment, stdin, theirs, theirs_of_servers)
    clock = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    clock.start()
    of_servers = bytearray()
    reading = threading.Thread(target=read_all, args=(ours_of_servers, of_servers))
    reading.start()
    printed = bytearray()
    read_all(ours, printed)
    process.wait()
    reading.join()
    clock.cancel()
    return STYLE.sub("", printed.decode()), STYLE.sub("", of_servers.decode())


def script(steps: Sequence[Step], port: str, servers: int) -> str:
    """All steps for one shell; servers print to the file descriptor `servers`."""
    lines = [PROLOGUE]
    for step in steps:
        command = with_port(step.command, port)
        if step.stays:
            url = with_port(step.stays, port)
            lines.append(f"end_jobs; printf '{MARK}' >&{servers}")
            lines.append(f"{command} >&{servers} 2>&{servers} &\nready '{url}'")
        else:
            lines.append(command)
        lines.append(f"printf '{MARK}%d{MARK}' $?")
    return "\n".join(lines) + "\n"


def with_port(text: str, port: str) -> str:
    """The page's own port for the docs' one."""
    return re.sub(rf"(127\.0\.0\.1|localhost):{PORT}\b", rf"\1:{port}", text)


def started(
    file: Path,
    home: Path,
    environment: Mapping[str, str],
    stdin: IO[str],
    terminal: int,
    servers: int,
) -> "subprocess.Popen[bytes]":
    """The shell. It alone has the terminals now, so that they close when it and its jobs end."""
    process = subprocess.Popen(
        ["bash", str(file)],
        cwd=home,
        env=dict(environment),
        stdin=stdin,
        stdout=terminal,
        stderr=terminal,
        pass_fds=[servers],
        start_new_session=True,
    )
    os.close(terminal)
    os.close(servers)
    return process


def read_all(terminal: int, into: bytearray) -> None:
    """Until no one has its other side open any more."""
    while data := read_some(terminal):
        into += data
    os.close(terminal)


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
