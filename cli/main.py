"""bin/quotejob: the group of all commands. Here errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from cli import options
from cli.commands import audit, changes, doctor, dryrun, forecast, jobs, jobtypes, queue, results, schedules, submit
from cli.commands import up as starting
from cli.commands.bulk import group as bulk
from cli.options import Session, common, examples
from cli.problems import EXIT_CODES, INTERRUPTED, NAME, NOT_SERVED, OK, PIPE_CLOSED, USAGE, CommandError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Commands(click.Group):
    """A group whose commands return exit codes and raise CommandError."""

    def main(  # type: ignore[override]  # it always ends the process, as click's does in standalone mode
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run one command and exit with its code."""
        words = list(sys.argv[1:] if args is None else args)
        _open_all()
        extra |= {"standalone_mode": False, "complete_var": "_QUOTEJOB_COMPLETE"}
        try:
            code = super().main(words, prog_name or NAME, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            code = _fail(CommandError(_with_help(error), USAGE), words)
        except CommandError as error:
            code = _fail(error, words)
        except (click.Abort, KeyboardInterrupt):
            code = _fail(CommandError("Stopped.", INTERRUPTED, "INTERRUPTED"), words)
        except Exception as error:
            code = _fail(_of(error), words)
        sys.exit(code if isinstance(code, int) else OK)

    def make_context(self, *words: Any, **extra: Any) -> click.Context:
        """Read the words. It may print the help."""
        with _until_the_pipe_is_closed():
            return super().make_context(*words, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _until_the_pipe_is_closed():
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, the exit codes, and how to switch completion on."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes (1, 3 and 69 only with --wait)"):
            formatter.write_dl([(str(code), text) for code, text in EXIT_CODES.items()])
        with formatter.section("Completion (or zsh_source, fish_source)"):
            formatter.write(f"  {_COMPLETION}\n")


def _with_help(error: click.ClickException) -> str:
    """Return click's sentence, and where the help is."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    return f"{message} See `{context.command_path} --help`." if context else message


def _fail(error: CommandError, words: Sequence[str]) -> int:
    with contextlib.suppress(OSError):
        options.print_error(error, "--json" in words)
    _drop_what_cannot_be_written()
    return error.exit_code


def _of(error: Exception) -> CommandError:
    """Return what to say of an exception that no command has foreseen. With a traceback the exit code would be 1."""
    said = f"{type(error).__name__}: {error}"[:300]
    if isinstance(error, OSError) and error.errno in _FULL:
        return CommandError(f"The output cannot be written ({error}).", USAGE, "CANNOT_WRITE")
    if isinstance(error, UnicodeError):
        return CommandError(f"A text is not UTF-8, or the locale of this terminal is not ({said}).", USAGE, "NOT_UTF_8")
    return CommandError(f"This was not expected, and the command has stopped. {said}", NOT_SERVED, "UNEXPECTED")


@contextlib.contextmanager
def _until_the_pipe_is_closed() -> Iterator[None]:
    """Stop without a word when the program that reads the output has ended, as other programs do."""
    try:
        yield
    except BrokenPipeError:
        _drop_what_cannot_be_written()
        raise click.exceptions.Exit(PIPE_CLOSED) from None


def _drop_what_cannot_be_written() -> None:
    """Empty standard output. Python does that at its end, and with an error the exit code would be another one."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_all() -> None:
    """Open what the caller of this process has closed: standard input without text, and outputs that nobody reads."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (until the process ends)


_COMPLETION = 'eval "$(_QUOTEJOB_COMPLETE=bash_source quotejob)"'


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "quotejob data create 1000 --wait 5",
        "quotejob run \"Name LIKE 'Sample Opportunity %'\" --wait 10",
        "quotejob failures --last",
    ),
)
@click.version_option(
    tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]["version"], prog_name=NAME
)
def quotejob() -> None:
    """Price the Opportunities of a Salesforce org, and watch the jobs.

    Commands call the quotejob API: that of the running `up` or demo, or of --url or QUOTEJOB_URL. --org names the org,
    by an alias of the sf command. Without it, the first of these counts: QUOTEJOB_INSTANCE_URL with
    QUOTEJOB_ACCESS_TOKEN, the running system's org, QUOTEJOB_ORG. An ID may be shortened to its first 4 characters.
    """


@click.command("open", epilog=examples("quotejob open", "quotejob open --json"))
@common
def open_docs(session: Session) -> int:
    """Open the API's documentation in the browser; in a pipe, print its address."""
    return _open(session, f"{session.url}/docs")


@click.command("console", epilog=examples("quotejob console", "quotejob console --json"))
@common
def open_console(session: Session) -> int:
    """Open the console of a local system in the browser; in a pipe, print its link. It works once, for 15 minutes."""
    return _open(session, session.api.post("/console/link")["url"])


def _open(session: Session, url: str) -> int:
    session.say({"url": url}, url)
    if not session.as_json and session.screen.is_terminal:
        click.launch(url)
    return OK


for _command in (
    submit.run, jobtypes.jobtypes, forecast.forecast, dryrun.dryrun, jobs.jobs, jobs.job, results.results,
    results.failures, changes.abort, changes.resume, jobs.retry, queue.queue, schedules.schedules, submit.data,
    bulk.bulk, starting.up, audit.audit, doctor.doctor, open_console, open_docs,
):  # fmt: skip
    quotejob.add_command(_command)


if __name__ == "__main__":
    quotejob()
