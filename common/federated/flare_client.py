"""The script that NVFlare starts at a client: ``flare_client.py --settings FILE``."""

import argparse

from common.federated.flare import run_client

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bundle as a client of an NVFlare federation.")
    parser.add_argument("--settings", required=True, help="JSON with the arguments of BundleAlgo")
    run_client(parser.parse_args().settings)
