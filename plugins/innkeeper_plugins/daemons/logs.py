"""How a daemon's log looks: one JSON object a line on standard error, with the ids that were bound.

It decides nothing about what is logged.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import structlog

from innkeeper_plugins.daemons.configuration import LogConfig


def configure(config: LogConfig, *, quiet: Iterable[str] = ()) -> None:
    """Set logging up for this process, libraries' included.

    Args:
        config: Level and format.
        quiet: Loggers of libraries that are heard from warnings on, whatever the level.
    """
    level = logging.getLevelNamesMapping()[config.level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(config.format)],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in quiet:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _renderer(form: str) -> structlog.types.Processor:
    if form == "text":
        # Other formatters of tracebacks show the values of variables, and some of them are secret.
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(serializer=_to_json)


def _to_json(event: Mapping[str, Any], **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
