"""Explains errors of Spark: the finding and the remedy, without the stacks of Java and of workers."""

import re

from engine import errors
from engine.connections.database_errors import DatabaseError

_CLASS = re.compile(r"^(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable): ")
_CONDITION = re.compile(r"^\[[A-Z_]+(?:\.[A-Z_]+)*\] |^Job \d+ cancelled (?=the cluster )")
_STATE = re.compile(r" SQLSTATE: \w{5}\b.*", re.DOTALL)
_FRAME = re.compile(r"^\s*(at |\.\.\. \d+ more|Suppressed: |Driver stacktrace:|JVM stacktrace:)")
_ACCESS = re.compile(r"AccessControlException|AccessDenied|Permission denied|Status Code: 403|PERMISSION_DENIED")
_LOST = re.compile(r"failed to connect to all addresses|UNAVAILABLE|ExecutorLostFailure|Connection (?:refused|reset)")
_LOG_ERROR = re.compile(
    r"^\S+ \S+ ERROR \w+: (.+)$|^(?:Error: |Exception in thread .*?: |(?=Invalid ))(.+)$", re.MULTILINE
)

_DETAILS = re.compile(r'<_\w+ of RPC .*?\bdetails = "(.*?)"', re.DOTALL)
"""The details in the text of an error of grpc, which is the repr of an object."""

_PLACE = re.compile(r'^ +File "(.+)", line (\d+), in ', re.MULTILINE)
"""A line of a Python traceback."""

_WAITED = re.compile(r"Exception thrown in awaitResult:\s*$")
_NO_PACKAGE = re.compile(r"DATA_SOURCE_NOT_FOUND|Class org\.apache\.hadoop\.fs\.[\w.]+ not found")
_MISSING_ENGINE = re.compile(r"No module named '(engine|polars|numba|pyarrow|skops|sklearn)\b")
_RAISED = re.compile(
    r"^(?P<module>[\w.]*?)\.?(?P<kind>\w*(?:Error|Exception|Warning|Interrupt))(?:: (?P<text>.*))?$", re.MULTILINE
)
"""The last line of the Python traceback in a message of Spark."""

_OTHER_PYTHON = re.compile(r"PYTHON_VERSION_MISMATCH|Python in worker has different version")


def translate_spark_error(error: BaseException) -> errors.EngineError | None:
    """Return an explained error for one of pyspark, py4j or grpc; None for another error.

    An error of this package that an executor raised keeps its class.
    """
    if isinstance(error, ConnectionError | EOFError) or type(error).__name__ == "Py4JNetworkError":
        return DatabaseError(
            "the Java process of Spark has ended: the system may have ended it because memory was short; give it less "
            "by spark.driver.memory, or run it where there is more",
            transient=True,
        )
    if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j", "grpc"):
        return None
    return _find_own_error(str(error)) or explain_spark_error(error)


def explain_spark_error(error: BaseException) -> DatabaseError:
    """Return a database error that explains one of pyspark, py4j or grpc."""
    messages = _read_messages(error)
    text = "\n".join(messages)
    lost = _LOST.search(text) is not None
    if found := _MISSING_ENGINE.search(text):
        return DatabaseError(
            f"the executors have no package {found[1]}: install the same engine[spark] for the Python that they run "
            "(PYSPARK_PYTHON)"
        )
    if _OTHER_PYTHON.search(text):
        return DatabaseError(
            "the executors run another version of Python than this one: install the same one there, and name it by "
            "PYSPARK_PYTHON, or by spark.pyspark.python among the options"
        )
    if "OutOfMemoryError" in text:
        return DatabaseError("Java has no memory left: give it more by spark.driver.memory or spark.executor.memory")
    reason = _shorten_message(next((one for one in messages if not _WAITED.search(one)), text))
    if _NO_PACKAGE.search(text):
        return DatabaseError(
            f"{reason}; Spark needs a package for it: name it by spark.jars.packages under options: of the connection, "
            "in the version that belongs to this Spark"
        )
    if _ACCESS.search(text):
        return DatabaseError(f"Spark may not read it: {reason}")
    message = f"Spark does not answer: {reason}" if lost else reason
    return DatabaseError(message, transient=lost or "has had no executor for" in reason)


def _find_own_error(message: str) -> errors.EngineError | None:
    """Return the error of this package that an executor raised, from the traceback in a message of Spark."""
    if "Traceback (most recent call last)" not in message:
        return None
    raised = [found for found in _RAISED.finditer(message) if found["module"] or found["text"]]
    if not raised or raised[-1]["module"] != "engine.errors":
        return None
    kinds = {kind.__name__: kind for kind in (errors.DataError, errors.ModelError, errors.UsageError)}
    kind = kinds.get(raised[-1]["kind"])
    return kind(raised[-1]["text"] or "") if kind else None


def explain_start(error: BaseException, url: str, output: str) -> DatabaseError:
    """Return why Spark has not started, from the error and the output of Java."""
    if "UnsupportedClassVersionError" in output:
        return DatabaseError("Spark needs Java 17 or newer, and this machine has an older one: install a newer one")
    if "multiple SparkContexts" in str(error) or "Only one SparkContext" in str(error):
        return DatabaseError("this process has another Spark running already, which a function may have started")
    found = [one or other for one, other in _LOG_ERROR.findall(output)]
    if "All masters are unresponsive" in output or "All masters are unresponsive" in str(error):
        return DatabaseError(f"no Spark answers at {url}", transient=True)
    if "JAVA_GATEWAY_EXITED" in str(error):
        why = _shorten_message(found[0]) if found else "Java has ended at once"
        return DatabaseError(f"Spark has not started: {why}")
    return DatabaseError(f"Spark has not started: {explain_spark_error(error)}")


def _read_messages(error: BaseException) -> list[str]:
    """Return the message of an error; for a Java error in py4j, its message and those of its causes."""
    java = getattr(error, "java_exception", None)
    found: list[str] = []
    try:
        while java is not None:
            found.append(str(java.toString()))
            java = java.getCause()
    except Exception:  # noqa: BLE001  # the Java process is gone, and its message with it
        found = []
    return found or [str(error)]


def _shorten_message(text: str) -> str:
    """Return a message on one line: for an error of a Python worker its last line, else its first ones."""
    if of_grpc := _DETAILS.search(text):
        text = of_grpc[1]
    lines = [line for line in text.splitlines() if line.strip()]
    if any(line.startswith("Traceback ") for line in lines):
        last = [line for line in lines if re.match(r"(?:\w+\.)*\w+(?:Error|Exception|Fault|Problem)?: ", line)]
        places = [f"{file}:{line}: " for file, line in _PLACE.findall(text) if "pyspark" not in file]
        return "".join(places[-1:]) + _STATE.sub("", last[-1] if last else lines[-1]).strip()
    before_stack = []
    for line in lines:
        if _FRAME.match(line):
            break
        before_stack.append(line.strip())
    shortened = _STATE.sub("", " ".join(before_stack))
    while (shorter := _CONDITION.sub("", _CLASS.sub("", shortened))) != shortened:
        shortened = shorter
    return shortened[:500].strip() or "it gave no reason"
