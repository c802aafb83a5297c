"""The errors of Innkeeper, by who must act."""


class InnkeeperError(Exception):
    """Base of all errors that Innkeeper raises on purpose."""


class DriverError(InnkeeperError):
    """A driver could not do what a step asked; the operator of the host must act.

    After it is raised the verb may be called again, or its undo, without harm.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "tool_failed",
        argv: tuple[str, ...] = (),
        exit_status: int | None = None,
        stderr: str = "",
    ) -> None:
        """Keep the tool's own words.

        Args:
            message: One sentence that says what happened and what to do next.
            code: Stable code: ``tool_failed``, ``no_space``, ``image_missing``, ``timeout``, ``cancelled``,
                ``guest_missing``, ``refused``, ``bad_image``.
            argv: The command that failed, empty where there was none.
            exit_status: Its exit status.
            stderr: What it printed on standard error, or the library's own message.
        """
        super().__init__(message)
        self.code = code
        self.argv = argv
        self.exit_status = exit_status
        self.stderr = stderr
