"""Start the server."""

import logging
import socket
from contextlib import ExitStack, suppress
from typing import Any

from common.checks import InputError
from common.files import locked
from common.label.server.archive import fetch
from common.label.server.settings import Options, prepare, quieten, remembered

__all__ = ["listener", "serve"]

LABELS = "labels"  # of the studies


def serve(options: Options) -> None:
    """Serve until stopped.

    Args:
        options: checked.

    Raises:
        InputError: an address that is taken or none, a folder that cannot be written or that
            another server has, or something remembered that is damaged.
    """
    with ExitStack() as held:
        listening = held.enter_context(listener(options.host, options.port))
        for folder in (options.studies / LABELS, options.work):
            held.enter_context(locked(folder, "studies that are labelled"))
        prepare(remembered(options))
        if options.dicomweb:
            fetch(options.dicomweb, options.query, options.studies)
        import uvicorn  # after the environment, which MONAI Label reads when it is imported
        from monailabel.interfaces.utils.app import app_instance

        from common.label.server.overview import at_start
        from common.label.server.web import web_app

        quieten()
        logging.getLogger("common.label").setLevel(logging.INFO)
        for line in at_start(app_instance()):
            print(line)
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"http://{host}:{listening.getsockname()[1]}/review", flush=True)
        told: dict[str, Any] = {"access_log": False, "log_level": "warning"}
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(web_app(options.host), **told)).run([listening])


def listener(host: str, port: int) -> socket.socket:
    """Take the address, before anything is read or written.

    Raises:
        InputError: it is in use, or none of this machine.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except (OSError, UnicodeError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or "no name of a machine"
        raise InputError(
            f"label: --host and --port must be a free address of this machine, got {host} and "
            f"{port} ({reason}). Give another, or end what listens there."
        ) from None
    return listening
