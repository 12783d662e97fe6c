"""The order in which the test files run, and which tests are slow."""

#: The folders, cheapest first, so that failures show early.
FOLDERS = ("unit", "contract", "integration", "browser", "sites")
#: The files that take longest, longest first. Each runs before the rest of its folder, so that no worker of
#: pytest-xdist has a long file left when the other workers have finished.
LONGEST = (
    *("unit/test_socketio_stateful", "unit/test_rooms_stateful"),
    *("integration/test_socketio_restart", "integration/test_faults", "integration/test_crash"),
    *("integration/test_socketio_workers", "integration/test_socketio_clients", "integration/test_cluster"),
    *("integration/test_drain", "integration/test_deploy", "integration/test_socketio_cluster"),
    *("integration/test_rolling_restart", "integration/test_server_matrix", "integration/test_clock"),
    *("browser/test_history", "browser/test_rooms", "browser/test_socketio_browser"),
)
#: The files of the folders integration and browser whose tests are not slow: the wire, the rooms, the accounts, the
#: JSON API and one conversation in a browser.
QUICK = {
    *("integration/test_accounts", "integration/test_api", "integration/test_api_members"),
    *("integration/test_api_messages", "integration/test_api_rooms", "integration/test_api_sockets"),
    *("integration/test_engineio_protocol", "integration/test_rooms", "integration/test_socketio_protocol"),
    *("integration/test_tick", "integration/test_tokens", "integration/test_wire"),
    *("browser/test_accounts", "browser/test_conversation"),
}


def place(item):
    """The sort key of a test: its folder, then the longest files, then the order of collection."""
    file = file_of(item)
    return FOLDERS.index(item.path.parent.name), LONGEST.index(file) if file in LONGEST else len(LONGEST)


def is_slow(item):
    """Whether a test is slow by its folder or its database; others are marked with `pytest.mark.slow`."""
    if item.path.parent.name in ("integration", "browser") and file_of(item) not in QUICK:
        return True
    return hasattr(item, "callspec") and "postgresql" in item.callspec.id.split("-")


def file_of(item):
    return f"{item.path.parent.name}/{item.path.stem}"
