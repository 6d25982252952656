"""Start the server."""

import logging
from typing import Any

from common.label.models import Model
from common.label.server.archive import fetch
from common.label.server.settings import Options, prepare, quieten, remembered

__all__ = ["serve"]


def serve(options: Options) -> None:
    """Serve until stopped.

    Args:
        options: checked.
    """
    prepare(remembered(options))
    if options.dicomweb:
        fetch(options.dicomweb, options.query, options.studies)
    for bundle in options.bundles:
        if reason := Model(bundle, options.work).no_labels:
            print(reason)
    import uvicorn  # after the environment, which MONAI Label reads when it is imported

    from common.label.server.web import web_app

    quieten()
    logging.getLogger("common.label").setLevel(logging.INFO)
    told: dict[str, Any] = {"access_log": False, "log_level": "warning"}
    print(f"http://{options.host}:{options.port}/review", flush=True)
    uvicorn.run(web_app(options.host), host=options.host, port=options.port, **told)
