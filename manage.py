#!/usr/bin/env python
"""Django's command line. On the embedded set-up it finds PostgreSQL and Valkey or starts them, and the last user
of them stops them again."""

import os
import sys

# Commands that need no server.
_ALONE = {
    "help",
    "version",
    "makemessages",
    "compilemessages",
    "collectstatic",
    "settings_table",
    "--version",
    "--help",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config import embedded, environment

    if not environment.is_embedded(os.environ) or not set(sys.argv[1:2]) - _ALONE:
        execute_from_command_line(sys.argv)
        return
    try:
        with embedded.in_use(environment.home(os.environ)):
            execute_from_command_line(sys.argv)
    except embedded.CannotStart as error:
        raise SystemExit(f"recourse: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
