"""axe-core finds nothing serious. It is fetched through npm, once, into pytest's cache."""

import shutil
import subprocess

import pytest
from playwright.sync_api import expect

AXE = "axe-core@4.11.0"
GRAVE = {"serious", "critical"}
#: Waits for what is still fading in, whose colours are not its own yet.
SETTLED = """() => Promise.allSettled(
    document.getAnimations().filter((it) => it.effect.getTiming().iterations === 1).map((it) => it.finished)
)"""
#: Buttons of the sidebar that open a dialog.
DIALOGS = ("find-rooms", "make-room", "write-to")


@pytest.fixture(scope="module")
def axe(request):
    """The source of axe-core; without npm, or without a network, the tests that need it are skipped."""
    folder = request.config.cache.mkdir("axe")
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    npm = shutil.which("npm")
    if not source.exists() and npm:
        command = [npm, "install", "--silent", "--no-audit", "--ignore-scripts", "--prefix", folder, AXE]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False, timeout=60)
    if not source.exists():
        pytest.skip(f"{AXE} is not here and npm did not bring it: accessibility was not tested")
    return source.read_text()


def violations(page, axe):
    """What axe-core finds wrong with the page, one line each."""
    page.evaluate(axe)
    page.evaluate(SETTLED)
    found = page.evaluate("() => axe.run({ resultTypes: ['violations'], preload: false })")["violations"]
    return [
        f"{page.url}: {rule['help']} ({node['target']}: {node['failureSummary']})"
        for rule in found
        for node in rule["nodes"]
        if rule["impact"] in GRAVE
    ]


def violations_at(page, opener, axe):
    """What is wrong with what the button `opener` opens."""
    page.get_by_test_id(opener).click()
    found = violations(page, axe)
    if opener in DIALOGS:
        page.keyboard.press("Escape")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme, axe, site, make_page, join):
    page = make_page(color_scheme=scheme, base_url=site.url)
    page.goto("/login")
    found = violations(page, axe)
    page.goto("/register")
    found += violations(page, axe)
    ann, ben = join("Ann", color_scheme=scheme), join("Ben")
    ann.say("Read https://example.org/")
    ben.say(f"@{ann.name}, thanks")
    ben.turn_to(ann.name)
    ben.say("One more thing")
    ann.hears(f"@{ann.name}, thanks")
    found += violations(ann.page, axe)
    for look in (*DIALOGS, "room-menu", "open-search"):
        found += violations_at(ann.page, look, axe)
    ann.page.get_by_test_id("search-field").fill("thanks")
    expect(ann.page.get_by_test_id("search-result").first).to_be_visible()
    found += violations(ann.page, axe)
    ann.page.set_viewport_size({"width": 390, "height": 844})
    ann.page.get_by_test_id("open-drawer").click()
    found += violations(ann.page, axe)
    for path in ("account", "account/password"):
        ann.page.goto(f"{site.url}/{path}")
        found += violations(ann.page, axe)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_rooms(scheme, axe, past, join):
    ann = join("Ann", color_scheme=scheme)
    title = f"Accessible {scheme}"
    room = past.room(title, ["Said before", f"@{ann.name}, look"], topic="For everybody", members=[ann])
    looked_at = past.room(f"Looked at {scheme}", ["Said before"])
    found = []
    ann.enter(room)
    expect(ann.new_line).to_be_visible()
    found += violations(ann.page, axe)
    ann.page.goto(ann.link(looked_at, 1))
    expect(ann.page.get_by_test_id("join-bar")).to_be_visible()
    found += violations(ann.page, axe)
    private = ann.make_room(f"Private {scheme}", kind="private")
    past.say(private, ["Hello"])
    ann.enter(private)
    ann.page.get_by_test_id("invite").click()
    found += violations(ann.page, axe)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_invitations(scheme, axe, join):
    ann, ben = join("Ann", color_scheme=scheme), join("Ben")
    for title in ("Invited to", "And to"):
        room = ben.make_room(f"{title} {scheme}", kind="private")
        ben.api("POST", f"rooms/{room}/members", {"id": ann.id})
    expect(ann.page.get_by_test_id("invitation")).to_have_count(2)
    found = violations(ann.page, axe)
    ann.page.set_viewport_size({"width": 390, "height": 844})
    ann.page.get_by_test_id("open-drawer").click()
    found += violations(ann.page, axe)
    assert found == []
