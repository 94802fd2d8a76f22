"""The part of OpenSearch that Argilla's server needs, in memory, for one machine.

    python -m services.argilla.search PORT

It needs no library and keeps nothing: whoever starts it lets Argilla fill it again from its database
(`python -m argilla_server search-engine reindex`). Every search looks at every record, which is fine for some tens of
thousands of them, and one call is answered at a time; teams take the real thing (services/argilla/compose.yaml).
The password comes from NESTLING_SEARCH_PASSWORD.
"""

import logging
import os
import sys

from services.argilla.search.server import SearchServer


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    SearchServer(int(sys.argv[1]), os.environ["NESTLING_SEARCH_PASSWORD"]).serve_forever()


if __name__ == "__main__":
    main()
