"""How the agent's log looks: one JSON object a line on standard error, with the ids that were bound."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from innkeeper_hostagent.config import LogConfig

#: What structlog passes on from processor to processor; values are whatever was logged.
_Event = MutableMapping[str, Any]


def configure(config: LogConfig, **bound: str) -> None:
    """Set logging up for this process, libraries' included.

    Args:
        config: Level and format.
        bound: Keys and values that every line shall have.
    """
    level = logging.getLevelNamesMapping()[config.level.upper()]

    def add_bound(_logger: object, _method: str, event: _Event) -> _Event:
        return {**bound, **event}

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_bound,
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


def _renderer(form: str) -> structlog.types.Processor:
    if form == "text":
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(serializer=_to_json)


def _to_json(event: Mapping[str, Any], **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
