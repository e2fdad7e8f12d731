"""Write screenshots of every view of the dashboard, light, dark and narrow, from a real server under light load.

    python -m tools.screenshots FOLDER [HOME]

HOME is the home folder of a database; without it the views of the database say that there is none.
"""

import sys
from pathlib import Path
from typing import Final, Literal

from tests.fixtures.browser import chromium_path, open_browser
from tests.fixtures.dashboard import light_load
from tests.fixtures.server import serving

ROOT: Final = Path(__file__).resolve().parent.parent
VIEWS: Final = ("now", "data", "models", "history", "alerts")
SHOTS: Final[dict[str, tuple[int, Literal["light", "dark"]]]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "narrow": (390, "light"),
}
_SHOWN_MS: Final = 6000  # some samples of the metrics


def take(folder: Path, words: tuple[str, ...]) -> None:
    """Write one file for each view and look."""
    executable = chromium_path()
    if executable is None:
        sys.exit("no Chromium is installed (Debian: apt-get install chromium)")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        serving(ROOT / "onnx_models", *words, workers=2, log=folder / "server.log") as server,
        light_load(server.target),
        open_browser(executable) as browser,
    ):
        for look, (width, scheme) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            for view in VIEWS:
                page.goto(f"{server.admin}/#{view}")
                page.wait_for_timeout(_SHOWN_MS)
                page.screenshot(path=folder / f"{view}-{look}.png", full_page=True)
            page.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), ("--home", sys.argv[2]) if len(sys.argv) > 2 else ())  # noqa: PLR2004  the second argument
