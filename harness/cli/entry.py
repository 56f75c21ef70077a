"""The entry of the command line: from typed words to an exit code."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness import errors
from harness.cli.options import make_parser

if TYPE_CHECKING:
    from harness.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Every error ends here as one message, never as a traceback."""
    errors.provide_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show `±` gets a question mark, not a crash
            stream.reconfigure(errors="replace")
    settings: Settings | None = None
    code = errors.DONE
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        from harness.settings import completes

        if completes():
            from harness.cli.completion import complete

            complete(make_parser())
        parser = make_parser(words[:1])
        if not words:
            parser.print_help()
            return errors.DONE
        options = parser.parse(words)
        options.words = words
        from harness.settings import load_settings

        settings = load_settings()
        code = int(options.command(options, settings))
        sys.stdout.flush()
        return code
    except SystemExit:  # argparse has said what there is to say
        errors.is_full(sys.stdout)
        raise
    except BrokenPipeError:
        errors.hush(sys.stdout)
        return code
    except (Exception, KeyboardInterrupt) as error:
        if errors.is_full(sys.stdout):
            errors.say("the output of this command cannot be written: no space left where it goes.")
            return errors.STOPPED
        errors.say(errors.explain(error, settings.home if settings else None))
        return errors.code_of(error)
