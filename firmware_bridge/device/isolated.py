"""A runtime in a process of its own, behind the same interface.

tflite-runtime must not share a process with TensorFlow, whose symbols would replace its kernels without a word. A
host that trains and quantizes can still compare with it through this module.

Wire form on the child's stdin and stdout: u32 length (little-endian), then an .npz archive. An archive with ``_model``
(uint8) and ``_kernels`` loads a graph, the first one does; any other holds inputs. Each is answered by outputs, or by
``_error``.
"""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, Session, default_runtime, op_table
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BoardError, BridgeError, InputError

__all__ = ["IsolatedRuntime", "IsolatedSession", "RuntimeEndedError"]

_MODEL, _KERNELS = "_model", "_kernels"
_ERROR = "_error"
_READY = "_version"


class RuntimeEndedError(BoardError):
    """The runtime's process ended by itself: a check in native code failed, or it crashed."""


class IsolatedRuntime:
    """The runtime ``name``; each session is a process, which ends when the session is closed."""

    def __init__(self, name: str) -> None:
        """Remember the name; a process starts with each session."""
        self._name = name

    def info(self) -> RuntimeInfo:
        """See `Runtime.info`."""
        from importlib import metadata

        package = {"litert": "ai-edge-litert"}.get(self._name, self._name)
        return RuntimeInfo(self._name, metadata.version(package), op_table(self._name))

    def load(self, model: bytes, kernels: Kernels = Kernels.OPTIMISED) -> IsolatedSession:
        """See `Runtime.load`. Close the session, or use it in a ``with`` statement."""
        return IsolatedSession(self._name, model, kernels)


class IsolatedSession:
    """A `Session` in a process of its own."""

    def __init__(self, runtime: str, model: bytes, kernels: Kernels) -> None:
        """Start the process and load the graph there.

        Raises:
            InputError: the bytes are not a graph, or the runtime cannot prepare it, or is not there.
        """
        self._graph = Graph.parse(model)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "firmware_bridge.device.isolated", runtime],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.replace(model, kernels)
        except BoardError as error:
            self.close()
            raise InputError(str(error)) from error

    delegated_ops: tuple[int, ...] = ()

    @property
    def graph(self) -> Graph:
        """See `Session.graph`."""
        return self._graph

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`; an input that does not fit is reported as `BoardError` here."""
        return self._ask(inputs)

    def replace(self, model: bytes, kernels: Kernels) -> None:
        """Load another graph in the same process.

        Raises:
            InputError: the bytes are not a graph.
            BoardError: the runtime cannot prepare it.
            RuntimeEndedError: the process did not survive it.
        """
        self._graph = Graph.parse(model)
        self._ask({_MODEL: np.frombuffer(model, np.uint8), _KERNELS: np.array(kernels.value)})

    def close(self) -> None:
        """End the process; closing twice is allowed."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what is still to be written has no reader any more
                    stream.close()
        self._process.wait(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, arrays)
            answer = _receive(self._process.stdout)
        except (OSError, ValueError) as error:
            raise RuntimeEndedError(f"the runtime's process does not answer: {error}") from error
        if answer is None:
            raise RuntimeEndedError(f"the runtime's process ended with status {self._process.wait(timeout=30)}")
        if _ERROR in answer:
            raise BoardError(str(answer[_ERROR]))
        return answer


def _send(stream: BinaryIO | Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    archive = io.BytesIO()
    np.savez(archive, **{name: np.asarray(value) for name, value in arrays.items()})
    stream.write(struct.pack("<I", archive.tell()) + archive.getvalue())
    stream.flush()


def _receive(stream: BinaryIO | Any) -> dict[str, NDArray[Any]] | None:
    """Return the next archive, or None at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(struct.unpack("<I", head)[0])
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _serve(runtime: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Load the first archive's graph and answer the others until the end of ``source``."""
    session: Session | None = None
    while (request := _receive(source)) is not None:
        try:
            if session is None or _MODEL in request:
                kernels = Kernels(str(request[_KERNELS]))
                session = default_runtime(runtime).load(request[_MODEL].tobytes(), kernels)
                answer: Mapping[str, NDArray[Any]] = {_READY: np.array(runtime)}
            else:
                answer = session.run(request)
        except BridgeError as error:
            answer = {_ERROR: np.array(str(error))}
        _send(sink, answer)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
