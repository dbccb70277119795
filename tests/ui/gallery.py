"""Renders every page and every face of the tray icon, in light and dark, at 100 % and 200 %, to PNG files for human eyes.

`python -m tests.ui.gallery FOLDER` on any display (or with QT_QPA_PLATFORM=offscreen). Each scale is a process of its own,
since Qt reads the factor once.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.core.cashout import Stage
from desktop_app.core.state import Level
from desktop_app.ui.present import Heard, Look, Silence
from tests.ui import states

if TYPE_CHECKING:
    from PySide6.QtGui import QPalette

SCENES: dict[str, tuple[str, Heard]] = {
    "home-starting": ("home", Silence.STARTING),
    "home-lost": ("home", Silence.LOST),
    "home-fresh": ("home", states.fresh()),
    "home-waiting": ("home", states.seasoned()),
    "home-working": ("home", states.working()),
    "home-working-nvidia": ("home", states.working(states.nvidia_gpu())),
    "home-finishing": ("home", states.finishing()),
    "home-snoozed": ("home", states.snoozed()),
    "home-scheduled-off": ("home", states.scheduled_off()),
    "home-troubled": ("home", states.troubled()),
    "home-locked": ("home", states.locked(new=True)),
    "schedule": ("schedule", states.seasoned()),
    "schedule-fresh": ("schedule", states.fresh()),
    "schedule-lost": ("schedule", Silence.LOST),
    "signals": ("signals", states.watched()),
    "signals-game": ("signals", states.gaming()),
    "signals-fresh": ("signals", states.fresh()),
    "signals-untold": ("signals", states.untold()),
    "signals-lost": ("signals", Silence.LOST),
    "safety": ("safety", states.shut_in()),
    "safety-fallen": ("safety", states.shut_in("no_tcp", "no_home", fix="The sandbox started, but does not hold: no_tcp, no_home.")),
    "safety-fix": ("safety", states.not_shut_in()),
    "safety-contained": ("safety", states.shut_in(level=Level.CONTAINED)),
    "safety-untested": ("safety", states.untested()),
    "safety-testing": ("safety", states.untested(testing=True)),
    "safety-lost": ("safety", Silence.LOST),
    "wallet-fresh": ("wallet", states.fresh()),
    "wallet": ("wallet", states.seasoned()),
    "wallet-locked": ("wallet", states.locked()),
    "wallet-new": ("wallet", states.locked(new=True)),
    "wallet-quote": ("wallet", states.cashing(Stage.QUOTED)),
    "wallet-quote-passphrase": ("wallet", states.cashing(Stage.QUOTED, needs_passphrase=True)),
    "wallet-sent": ("wallet", states.cashing(Stage.SENT)),
    "wallet-confirmed": ("wallet", states.cashing(Stage.CONFIRMED, confirmations=3)),
    "wallet-refused": ("wallet", states.cashing(Stage.REFUSED, reason="the relayer cannot be reached")),
    "wallet-lost": ("wallet", Silence.LOST),
}


def dark_palette() -> "QPalette":
    """What Fusion shows when the system is dark; a bare X desktop cannot say that it is."""
    from PySide6.QtGui import QColor, QPalette

    role, palette = QPalette.ColorRole, QPalette()
    shades = {
        "#323232": (role.Window, role.Button), "#242424": (role.Base,), "#2b2b2b": (role.AlternateBase,),
        "#ffffff": (role.WindowText, role.Text, role.ButtonText, role.HighlightedText, role.ToolTipText, role.BrightText),
        "#308cc6": (role.Highlight, role.Accent), "#3c3c3c": (role.ToolTipBase, role.Midlight), "#464646": (role.Light,),
        "#1e1e1e": (role.Dark,), "#282828": (role.Mid,), "#141414": (role.Shadow,), "#8c8c8c": (role.PlaceholderText,),
    }
    for shade, roles in shades.items():
        for one in roles:
            palette.setColor(one, QColor(shade))
    for one in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, one, QColor("#828282"))
    return palette


def render(folder: Path, scale: str) -> None:
    """Every scene in this process's scale, light and dark."""
    from PySide6.QtWidgets import QApplication

    from desktop_app.ui.icons import face_pixmap
    from desktop_app.ui.window import Window

    app = QApplication([])
    for dark, name in ((False, "light"), (True, "dark")):
        app.setPalette(dark_palette() if dark else app.style().standardPalette())
        window = Window(lambda message: None, lambda purpose, secret: None)
        window.resize(880, 640)
        window.show()
        for scene, (page, heard) in SCENES.items():
            window.show_page(page)
            window.show_heard(heard)
            for _ in range(3):
                app.processEvents()
            window.grab().save(str(folder / f"{scene}-{name}-{scale}.png"))
        window.close()
    for look in Look:
        for size in (16, 22, 24, 32, 64):
            face_pixmap(look, size).save(str(folder / f"tray-{look}-{size}-{scale}.png"))


def main() -> None:
    """Render into the folder given, once per scale."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        render(folder, sys.argv[2])
        return
    for factor, scale in (("1", "100"), ("2", "200")):
        command = [sys.executable, "-m", "tests.ui.gallery", str(folder), scale]
        subprocess.run(command, env=os.environ | {"QT_SCALE_FACTOR": factor}, check=True)


if __name__ == "__main__":
    main()
