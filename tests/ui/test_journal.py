"""What goes wrong in the tray is written down, and a full disk does not stop it."""

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMessageLogContext, QtMsgType

from desktop_app.core.errors import AppError
from desktop_app.ui.journal import Journal
from desktop_app.ui.single import OnlyOne


def test_warnings_and_exceptions_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "logs" / "tray.log")
    journal.from_qt(QtMsgType.QtDebugMsg, QMessageLogContext(), "chatter")
    journal.from_qt(QtMsgType.QtWarningMsg, QMessageLogContext(), "a pixmap is null")
    try:
        raise ValueError("unforeseen")
    except ValueError as error:
        journal.from_python(ValueError, error, error.__traceback__)
    text = (tmp_path / "logs" / "tray.log").read_text()
    assert "chatter" not in text
    assert "QtWarningMsg: a pixmap is null" in text
    assert "ValueError: unforeseen" in text
    assert "test_journal.py" in text
    assert capsys.readouterr().err == text


def test_it_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "tray.log"
    path.write_text("x" * 600_000)
    Journal(path).write("new")
    assert path.stat().st_size < 100
    assert (tmp_path / "tray.old").exists()


def test_a_place_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Journal(tmp_path / "file" / "tray.log").write("lost, but said on stderr")


def test_install_listens_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr("desktop_app.ui.journal.qInstallMessageHandler", heard.append)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    journal = Journal(tmp_path / "tray.log")
    journal.install()
    assert sys.excepthook == journal.from_python
    assert heard == [journal.from_qt]


def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "run"
    open_to_all.mkdir(mode=0o755)
    open_to_all.chmod(0o755)
    with pytest.raises(AppError, match="belongs to somebody else"):
        OnlyOne(open_to_all)
