"""Home: the switch, the sentence, the running task, the gauges, and what it earns. Called by the window."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from desktop_app.core.messages import (
    OwnerAskedFinish,
    OwnerDismissedNotices,
    OwnerMessage,
    OwnerSnoozed,
    OwnerTurnedSharing,
)
from desktop_app.ui.icons import face_pixmap
from desktop_app.ui.pages.frame import Page
from desktop_app.ui.present import Heard, HomeView, Silence, Status, TaskView, home, snooze_until
from desktop_app.ui.present_money import Figure
from desktop_app.ui.snooze_menu import add_snoozes
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.meter import Meter, TaskBar
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.ui.widgets.toggle import Toggle
from desktop_app.wire.phrases import say

_FACE = 24


class HomePage(Page):
    """The page an owner sees first."""

    def __init__(self, post: Callable[[OwnerMessage], None], unlock: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(say("home.title"), parent)
        self._view: HomeView | None = None
        self._hero = Hero(post, unlock)
        self._task = TaskCard()
        self._gpu = GpuCard()
        self._stats = tuple(StatCard() for _ in range(3))
        self._notice = NoticeCard(post)
        row = QHBoxLayout()
        row.setSpacing(GAP + 4)
        for card in self._stats:
            row.addWidget(card, 1)
        for widget in (self._hero, self._task, self._gpu):
            self.body.addWidget(widget)
        self.body.addLayout(row)
        self.body.addWidget(self._notice)
        self.body.addStretch()

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last."""
        view = home(heard)
        self._hero.heard = heard
        self._hero.toggle.setChecked(view.status.on)  # also when nothing else changed: a click flips it before the engine has spoken
        if view == self._view:
            return
        self._view = view
        self.practice.setVisible(view.status.practice)
        self._hero.show_status(view.status)
        self._task.show_task(view.task, view.welcome)
        self._gpu.show_gauges(view)
        for card, stat in zip(self._stats, view.stats, strict=True):
            card.show_figure(stat)
        self._notice.show_notice(view.notice)


class Hero(Card):
    """The switch, two words, one sentence, the two gentler ways to stop, and the way to a locked wallet."""

    def __init__(self, post: Callable[[OwnerMessage], None], unlock: Callable[[], None]) -> None:
        super().__init__()
        self._post = post
        self.heard: Heard = Silence.STARTING
        self._look: str = ""
        self.toggle = Toggle(say("home.share"), say("home.share.hint"))
        self.toggle.clicked.connect(self._turned)
        self._face = QLabel()
        self._face.setFixedSize(_FACE, _FACE)
        self._headline = Text(Tone.TITLE)
        self._why = Text(Tone.BODY, lines=2)
        self.pause = QPushButton(say("home.pause"))
        menu = QMenu(self.pause)
        add_snoozes(menu, self._snooze)
        self.pause.setMenu(menu)
        self.resume = QPushButton(say("home.resume"))
        self.resume.clicked.connect(self._resume)
        self._pauses = QStackedWidget()
        self._pauses.addWidget(self.pause)
        self._pauses.addWidget(self.resume)
        self._pauses.setSizePolicy(self.pause.sizePolicy())
        self.finish = QPushButton(say("home.finish"))
        self.finish.clicked.connect(self._finish)
        self.unlock = QPushButton(say("home.unlock"))
        self.unlock.clicked.connect(lambda: unlock())
        self._arrange()

    def _arrange(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self._face)
        head.addWidget(self._headline, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self._pauses)
        buttons.addWidget(self.finish)
        buttons.addStretch()
        buttons.addWidget(self.unlock)
        words = QVBoxLayout()
        words.setSpacing(4)
        words.addLayout(head)
        words.addWidget(self._why)
        words.addSpacing(4)
        words.addLayout(buttons)
        row = QHBoxLayout()
        row.setSpacing(3 * GAP)
        row.addWidget(self.toggle)
        row.addLayout(words, 1)
        self.body.addLayout(row)

    def show_status(self, status: Status) -> None:
        """Draw another status."""
        if status.look != self._look:
            self._look = status.look
            self._face.setPixmap(face_pixmap(status.look, _FACE, self.devicePixelRatioF()))
        self.toggle.setEnabled(status.live)
        self.unlock.setVisible(status.locked)
        self._headline.say(status.headline)
        self._why.say(status.why)
        self._pauses.setCurrentWidget(self.resume if status.snoozed else self.pause)
        self.pause.setEnabled(status.live and status.on)
        self.resume.setEnabled(status.live)
        self.finish.setEnabled(status.live and status.can_finish)
        self.finish.setText(say("home.finishing") if status.finishing else say("home.finish"))

    @Slot(bool)
    def _turned(self, on: bool) -> None:
        self._post(OwnerTurnedSharing(on))

    @Slot()
    def _resume(self) -> None:
        self._post(OwnerSnoozed(None))

    @Slot()
    def _finish(self) -> None:
        self._post(OwnerAskedFinish())

    def _snooze(self, span: timedelta | None) -> None:
        self._post(OwnerSnoozed(snooze_until(span, datetime.now(UTC), self.heard)))


class TaskCard(Card):
    """The running task, or a word on what will appear here; both of one height."""

    def __init__(self) -> None:
        super().__init__()
        self._title, self._percent = Text(Tone.HEADING), Text(Tone.HEADING)
        self._bar = TaskBar()
        self._facts = Text(Tone.CAPTION)
        self._empty, self._hint = Text(Tone.HEADING, say("home.task.none")), Text(Tone.CAPTION, lines=2)
        head = QHBoxLayout()
        head.addWidget(self._title, 1)
        head.addWidget(self._percent)
        busy, idle = QWidget(), QWidget()
        busy_box, idle_box = QVBoxLayout(busy), QVBoxLayout(idle)
        for box in (busy_box, idle_box):
            box.setContentsMargins(0, 0, 0, 0)
            box.setSpacing(6)
        busy_box.addLayout(head)
        busy_box.addWidget(self._bar)
        busy_box.addWidget(self._facts)
        idle_box.addWidget(self._empty)
        idle_box.addWidget(self._hint)
        idle_box.addStretch()
        self._stack = QStackedWidget()
        self._stack.addWidget(idle)
        self._stack.addWidget(busy)
        self._stack.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._stack.setFixedHeight(max(busy.minimumSizeHint().height(), idle.minimumSizeHint().height()))
        self.body.addWidget(self._stack)

    def show_task(self, task: TaskView | None, welcome: str) -> None:
        """Draw the task, or that there is none."""
        self._stack.setCurrentIndex(0 if task is None else 1)
        self._hint.say(welcome or say("home.task.none.hint"))
        if task is None:
            return
        self._title.say(task.title)
        self._percent.say(task.percent)
        self._facts.say(task.facts)
        self._bar.setValue(round((task.fraction or 0) * 1000))
        self._bar.setAccessibleName(task.title)
        self._bar.setAccessibleDescription(task.facts)


class GpuCard(Card):
    """The device and its gauges."""

    def __init__(self) -> None:
        super().__init__()
        self._device = Text(Tone.CAPTION)
        self._meters = tuple(Meter() for _ in range(4))
        head = QHBoxLayout()
        head.addWidget(Text(Tone.HEADING, say("home.gpu")))
        head.addStretch()
        head.addWidget(self._device)
        row = QHBoxLayout()
        row.setSpacing(3 * GAP)
        for meter in self._meters:
            row.addWidget(meter, 1)
        self.body.addLayout(head)
        self.body.addLayout(row)

    def show_gauges(self, view: HomeView) -> None:
        """Draw other figures."""
        self._device.say(view.device)
        for meter, gauge in zip(self._meters, view.gauges, strict=True):
            meter.show_gauge(gauge)


class StatCard(Card):
    """One figure with its name above and its meaning below."""

    def __init__(self) -> None:
        super().__init__()
        self.body.setSpacing(2)
        self._label, self._value, self._hint = Text(Tone.CAPTION), Text(Tone.FIGURE), Text(Tone.CAPTION, lines=2)
        for text in (self._label, self._value, self._hint):
            self.body.addWidget(text)

    def show_figure(self, figure: Figure) -> None:
        """Draw another figure."""
        self._label.say(figure.label)
        self._value.say(figure.value)
        self._hint.say(figure.hint)


class NoticeCard(Card):
    """The newest thing the owner should know; at the foot of the page, so that nothing moves when it comes."""

    def __init__(self, post: Callable[[OwnerMessage], None]) -> None:
        super().__init__()
        self._post = post
        self._words = Text(Tone.BODY, lines=2)
        dismiss = QPushButton(say("home.notices.dismiss"))
        dismiss.clicked.connect(self._dismiss)
        row = QHBoxLayout()
        row.setSpacing(2 * GAP)
        row.addWidget(self._words, 1)
        row.addWidget(dismiss)
        self.body.addLayout(row)
        self.hide()

    def show_notice(self, words: str) -> None:
        """Draw the notice, or nothing."""
        self._words.say(words)
        self.setVisible(bool(words))

    @Slot()
    def _dismiss(self) -> None:
        self._post(OwnerDismissedNotices())
