"""The git repository that a sweep was started in: its commit, and a patch of what is not committed.

A patch travels: into the home, and into MLflow. So a file of the repository is left out of it, and
named, where its name or a line of it looks like a secret, and untracked files are named and no
more. What git itself would start for a diff (another program, a pager, a file monitor) is switched
off, and it writes nothing into the repository.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sweeper.secrets import for_children, looks_secret, without_user
from trials.errors import encodable

MOST_BYTES = 1 << 20
"""Of a patch."""
MOST_LINES = 20_000
"""Of one file's changes; of more git is not even asked for them."""
MOST_FILES = 200
"""Whose changes are looked at, and of untracked ones that are named."""
LONGEST_LINE = 2_000
PATIENCE = 10.0
"""Seconds for all that git is asked."""

SECRET_NAMES = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pgpass", ".pypirc", ".npmrc"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "*.gpg", "*.asc", "id_rsa*"),
    *("id_ed25519*", "id_ecdsa*", "*secret*", "*credential*", "*password*", "*passwd*"),
    *("kubeconfig", ".htpasswd", "auth_token", "*.tfvars", "*.tfstate"),
)
"""Names of files whose content is none to record, whatever it is."""

_CODE = (".py", ".pyi", ".js", ".ts", ".c", ".h", ".cc", ".cpp", ".cu", ".cuh", ".rs")


class Checkout(BaseModel):
    """A repository as it stood. `left_out` says of a changed file why the patch lacks it, `trouble`
    why nothing more is known."""

    model_config = ConfigDict(frozen=True)

    folder: str
    commit: str = ""
    branch: str = ""
    remote: str = ""
    """Where it was cloned from, without a user or a secret."""
    changed: tuple[str, ...] = ()
    left_out: Mapping[str, str] = {}
    untracked: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class _Change:
    path: str
    lines: int | None
    """Added and removed; None of what is no text."""


class _GitError(Exception):
    """Git is not there, refuses, or takes too long; with its words."""


def look(folder: Path, home: Path, *, patch: bool = True) -> tuple[Checkout | None, bytes]:
    """The repository that `folder` belongs to, None where it is none of git's, and the patch that
    makes of its commit what lies there now; empty where it is not to be made. What lies in `home`
    is none of it."""
    deadline = time.monotonic() + PATIENCE
    try:
        inside = _Git(folder, folder, deadline)
        top = Path(os.fsdecode(inside("rev-parse", "--show-toplevel").rstrip(b"\n")))
    except _GitError:
        return None, b""
    git, about = _Git(top, home, deadline), {"folder": encodable(str(top))}
    try:
        about["commit"] = git.text("rev-parse", "HEAD")
        with contextlib.suppress(_GitError):  # of no branch, or never cloned
            about["branch"] = git.text("symbolic-ref", "--short", "--quiet", "HEAD")
        with contextlib.suppress(_GitError):
            about["remote"] = without_user(git.text("remote", "get-url", "origin"))
        changes = list(_changes(git))
        text, left_out = _patch(git, changes) if patch else (b"", {})
        untracked = _untracked(git)
    except _GitError as error:
        return Checkout(**about, trouble=f"git does not say all: {error}"), b""
    changed = _named(change.path for change in changes)
    return Checkout(**about, changed=changed, left_out=left_out, untracked=untracked), text


class _Git:
    """Git in one repository, which it looks at without the folder `but`, until a deadline."""

    def __init__(self, folder: Path, but: Path, deadline: float) -> None:
        self.folder = folder
        self.everything = [":(top)"]
        with contextlib.suppress(ValueError, OSError):  # most homes are in no repository
            inside = but.resolve().relative_to(folder.resolve()).as_posix()
            self.everything += [f":(top,exclude,literal){inside}"]
        self._deadline = deadline

    def __call__(self, *arguments: str) -> bytes:
        """What it says.

        Raises:
            _GitError: it does not.
        """
        environment = for_children(os.environ) | _QUIET
        try:
            done = subprocess.run(
                ["git", "--no-pager", "-c", "core.fsmonitor=false", *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=max(0.0, self._deadline - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _GitError(f"it took more than {PATIENCE:g} s") from error
        except OSError as error:
            raise _GitError(str(error.strerror)) from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise _GitError(words[0] if words else f"status {done.returncode}")
        return done.stdout

    def text(self, *arguments: str) -> str:
        """One line of it."""
        return self(*arguments).decode(errors="replace").strip()

    def diff(self, *arguments: str) -> bytes:
        """What is not as it was committed."""
        return self(
            *("diff", "HEAD", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv"),
            *("--full-index", "--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/"),
            *arguments,
        )


_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _changes(git: _Git) -> Iterator[_Change]:
    """The tracked files that are not as they were committed."""
    for entry in git.diff("--numstat", "-z", "--", *git.everything).split(b"\0"):
        added, _, rest = entry.partition(b"\t")
        removed, _, path = rest.partition(b"\t")
        if path:
            known = added.isdigit() and removed.isdigit()
            lines = int(added) + int(removed) if known else None
            yield _Change(os.fsdecode(path), lines)


def _patch(git: _Git, changes: list[_Change]) -> tuple[bytes, dict[str, str]]:
    """The patch of these changes, and of each that it lacks the reason."""
    pieces: list[bytes] = []
    left_out: dict[str, str] = {}
    room = MOST_BYTES
    for change in changes[:MOST_FILES]:
        reason = _unwanted(git.folder, change)
        piece = b"" if reason else git.diff("--", f":(top,literal){change.path}")
        reason = reason or _told(change.path, piece, room)
        if reason:
            left_out[encodable(change.path)] = reason
        else:
            pieces.append(piece)
            room -= len(piece)
    if beyond := changes[MOST_FILES:]:
        left_out[f"and {len(beyond):,} more"] = "too many files have changed"
    return b"".join(pieces), left_out


def _unwanted(top: Path, change: _Change) -> str:
    """Why git is not even asked for a change; empty where it is."""
    name = Path(change.path).name.lower()
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in SECRET_NAMES):
        return "its name is that of a secret"
    if change.lines is None:
        return "it is no text"
    if change.lines > MOST_LINES:
        return f"more than {MOST_LINES:,} lines of it have changed"
    with contextlib.suppress(OSError):
        if (top / change.path).stat().st_size > 10 * MOST_BYTES:
            return "it is too large to look through"
    return ""


def _told(path: str, piece: bytes, room: int) -> str:
    """Why a change that was looked at may not be recorded; empty where it may be."""
    if len(piece) > room:
        return f"the patch would be larger than {MOST_BYTES:,} bytes"
    lines = piece.decode(errors="replace").splitlines()
    if any(len(line) > LONGEST_LINE for line in lines):
        return "it has lines too long to look through"
    code = path.endswith(_CODE)
    if any(looks_secret(line, code=code) for line in lines):
        return "a line of it looks like a secret"
    return ""


def _untracked(git: _Git) -> tuple[str, ...]:
    """Files that git does not know; those it is told to ignore are none."""
    listed = git("ls-files", "--others", "--exclude-standard", "-z", "--", *git.everything).split(
        b"\0"
    )
    return _named(sorted(os.fsdecode(name) for name in listed if name))


def _named(paths: Iterable[str]) -> tuple[str, ...]:
    """The first of these paths, and how many more there are."""
    names = list(map(encodable, paths))
    more = [f"and {len(names) - MOST_FILES:,} more"] if len(names) > MOST_FILES else []
    return (*names[:MOST_FILES], *more)
