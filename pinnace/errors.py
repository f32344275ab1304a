"""Every error that Pinnace raises on purpose.

::

    PinnaceError
    ├── ConfigError               router.yaml is wrong: names the key, what was expected, what was got
    ├── StateError                a router state cannot be read, or does not fit this fleet
    ├── TableError                an outcome table or task file is wrong: names the row and the column
    ├── TrainingError             a training cannot begin, or cannot go on
    │   └── TrainingRowsError     the rows to train on are wrong: names the row and why
    ├── MeterError                a meter of energy cannot be read
    ├── WeightsError              no source of a model's weights could be had
    │   └── HashMismatchError     what was fetched is not what was pinned
    ├── RequestError              the client's mistake; carries the OpenAI envelope's param and code
    │   ├── UnknownModelError     names a model that is not in the fleet
    │   ├── NoCapableModelError   no fleet member meets the request's hard needs
    │   └── ContextTooLongError   the prompt and the answer do not fit the model's context window
    ├── BackendError              a backend could not answer
    │   ├── SelfTestError         a local model's text is not its reference text
    │   ├── BackendUnavailableError   not started, not reachable, or answered with a server error
    │   │   └── BackendFullError      as many requests as may run and wait for it are there already
    │   └── BackendTimeoutError   it took longer than it may
    │       └── DeadlineExceededError   the request's own time was over
    └── AgentError                a step of a pipeline could not be done
        ├── StepError             a step or a tool cannot be as it was declared: says what to change
        ├── LimitError            a session has used up what it may; names the limit and what was spent
        ├── OutputError           no model's answer is of the type that the step declares
        └── ToolError             a tool could not be used
            ├── ToolArgumentsError    the model called it with what it does not take
            ├── ToolFailedError       it raised
            └── ToolTimeoutError      it took longer than it may
"""


class PinnaceError(Exception):
    """The root: catching this catches everything that Pinnace raises on purpose."""


class ConfigError(PinnaceError):
    """`router.yaml` is wrong."""


class StateError(PinnaceError):
    """A router state cannot be read, or does not fit this fleet."""


class TableError(PinnaceError):
    """An outcome table or a task file is wrong."""


class TrainingError(PinnaceError):
    """A training cannot begin, or cannot go on."""


class TrainingRowsError(TrainingError):
    """The rows to train on are wrong."""


class MeterError(PinnaceError):
    """A meter of energy cannot be read."""


class WeightsError(PinnaceError):
    """No source of a model's weights could be had."""


class HashMismatchError(WeightsError):
    """What was fetched is not what was pinned."""


class RequestError(PinnaceError):
    """The client's mistake.

    :param message: what was expected and what was got.
    :param param: the request's field, as the OpenAI envelope names it.
    :param code: the OpenAI error code.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class UnknownModelError(RequestError):
    """The request names a model that is not in the fleet."""


class NoCapableModelError(RequestError):
    """No fleet member meets the request's hard needs."""


class ContextTooLongError(RequestError):
    """The prompt and the answer do not fit the model's context window."""


class BackendError(PinnaceError):
    """A backend could not answer."""


class SelfTestError(BackendError):
    """A local model's greedy text is not its reference text, so it must not serve."""


class BackendUnavailableError(BackendError):
    """The backend is not started, not reachable, or answered with a server error."""


class BackendFullError(BackendUnavailableError):
    """As many requests as may run on this backend, and wait for it, are there already."""


class BackendTimeoutError(BackendError):
    """The backend took longer than it may."""


class DeadlineExceededError(BackendTimeoutError):
    """The request's own time was over, whichever backend was at work."""


class AgentError(PinnaceError):
    """A step of a pipeline could not be done."""


class StepError(AgentError):
    """A step or a tool cannot be as it was declared."""


class LimitError(AgentError):
    """A session has used up what it may.

    :param limit: the name of the limit, as `Limits` has it.
    :param allowed: what it allows.
    :param spent: what was spent and reserved of it when this was raised.
    :param wanted: what the next call would have taken.
    """

    def __init__(self, limit: str, *, allowed: float, spent: float, wanted: float) -> None:
        super().__init__(
            f"the session's limit of {limit} is {allowed:.12g}: {spent:.12g} are spent or promised, "
            f"and the next call may take {wanted:.12g}: raise the limit, or lower what a call may take "
            "(max_tokens, n)"
        )
        self.limit = limit
        self.allowed = allowed
        self.spent = spent
        self.wanted = wanted


class OutputError(AgentError):
    """No model's answer is of the type that the step declares."""


class ToolError(AgentError):
    """A tool could not be used.

    :param tool: its name.
    """

    def __init__(self, tool: str, message: str) -> None:
        super().__init__(f"tool {tool!r}: {message}")
        self.tool = tool


class ToolArgumentsError(ToolError):
    """The model called a tool with what it does not take."""


class ToolFailedError(ToolError):
    """A tool raised."""


class ToolTimeoutError(ToolError):
    """A tool took longer than it may."""
