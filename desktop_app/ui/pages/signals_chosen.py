"""What the owner chose for the signals: the programs that get the GPU, and the limits. Two cards of the Signals page."""

from collections.abc import Callable

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QMenu, QPushButton, QSizePolicy

from desktop_app.core.settings import MOST_APP_LETTERS, Value
from desktop_app.ui.present_signals import Limit, SignalsView
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.number import NumberField
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire import signals
from desktop_app.wire.phrases import say

_COLUMNS = 3


class AppsCard(Card):
    """The owner's list; a click on a name takes it off, a menu offers what runs now, a field takes any other name."""

    def __init__(self, tell: Callable[[str, Value], None], ask: Callable[[], None]) -> None:
        super().__init__()
        self._tell, self._ask = tell, ask
        self._view: SignalsView | None = None
        self.names: list[QPushButton] = []
        self._none = Text(Tone.CAPTION, say("signals.apps.none"))
        self._grid = QGridLayout()
        self._grid.setSpacing(GAP)
        self.running = QPushButton(say("signals.apps.running"))
        self.menu = QMenu(self.running)
        self.menu.aboutToShow.connect(self._offer)
        self.running.setMenu(self.menu)
        self.typed = QLineEdit()
        self.typed.setMaxLength(MOST_APP_LETTERS)
        self.typed.setPlaceholderText(say("signals.apps.type"))
        self.typed.setAccessibleName(say("signals.apps.type.name"))
        self.typed.returnPressed.connect(self._add_typed)
        self.add = QPushButton(say("signals.apps.add"))
        self.add.clicked.connect(self._add_typed)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.running)
        row.addWidget(self.typed, 1)
        row.addWidget(self.add)
        self.body.addWidget(Text(Tone.HEADING, say("signals.apps")))
        self.body.addWidget(self._none)
        self.body.addLayout(self._grid)
        self.body.addLayout(row)

    def show_apps(self, seen: SignalsView) -> None:
        """Draw another list, and offer other programs."""
        before, self._view = self._view, seen
        for widget in (self.running, self.typed, self.add):
            widget.setEnabled(seen.live)
        if before is None or before.apps != seen.apps:
            self._list(seen.apps)
        self._none.setVisible(seen.live and not seen.apps)
        if self.menu.isVisible() and before is not None and before.programs != seen.programs:
            self._fill()

    def _list(self, apps: tuple[str, ...]) -> None:
        for button in self.names:
            self._grid.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.names = []
        for number, name in enumerate(apps):
            button = QPushButton(f"{name}  ✕")
            button.setToolTip(say("signals.apps.remove", name=name))
            button.setAccessibleName(button.toolTip())
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda checked=False, name=name: self._remove(name))
            self._grid.addWidget(button, number // _COLUMNS, number % _COLUMNS)
            self.names.append(button)
        for column in range(_COLUMNS):
            self._grid.setColumnStretch(column, 1)

    @Slot()
    def _offer(self) -> None:
        self._fill()
        self._ask()

    def _fill(self) -> None:
        self.menu.clear()
        programs = self._view.programs if self._view is not None else ()
        for name in programs:
            self.menu.addAction(name.replace("&", "&&")).triggered.connect(lambda checked=False, name=name: self._add(name))
        if not programs:
            self.menu.addAction(say("signals.apps.running.none")).setEnabled(False)

    @Slot()
    def _add_typed(self) -> None:
        if name := self.typed.text().strip():
            self._add(name)
            self.typed.clear()

    def _add(self, name: str) -> None:
        if self._view is not None:
            self._tell("apps", signals.with_app(self._view.apps, name))

    def _remove(self, name: str) -> None:
        if self._view is not None:
            self._tell("apps", signals.without_app(self._view.apps, name))


class LimitsCard(Card):
    """The figures behind the signals, and whether the machine is kept awake."""

    def __init__(self, tell: Callable[[str, Value], None]) -> None:
        super().__init__()
        self._tell = tell
        self.fields: dict[str, NumberField | QComboBox] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(3 * GAP)
        self._grid.setVerticalSpacing(GAP)
        self._grid.setColumnStretch(0, 1)
        self.awake = QCheckBox(say("signals.keep_awake"))
        self.awake.clicked.connect(lambda on: tell("keep_awake", bool(on)))
        self._hint = Text(Tone.CAPTION, lines=2)
        self.body.addWidget(Text(Tone.HEADING, say("signals.limits")))
        self.body.addLayout(self._grid)
        self.body.addWidget(self._hint)
        self.body.addWidget(self.awake)

    def show_limits(self, seen: SignalsView) -> None:
        """Every figure as the engine has it, unless the owner is about to change it."""
        self.awake.setChecked(seen.keep_awake)
        self.awake.setEnabled(seen.live)
        self._hint.say(next((limit.hint for limit in seen.limits if limit.hint), ""))
        for limit in seen.limits:
            field = self.fields.get(limit.setting) or self._make(limit)
            field.setEnabled(seen.live)
            if isinstance(field, NumberField):
                field.show_value(limit.value)
            elif not field.view().isVisible():
                self._choose(field, limit)

    def _make(self, limit: Limit) -> NumberField | QComboBox:
        field = self._list_of(limit) if limit.choices else self._number(limit)
        field.setAccessibleName(limit.name)
        field.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        label = Text(Tone.BODY, limit.name)
        label.setBuddy(field)
        line = len(self.fields)
        self._grid.addWidget(label, line, 0)
        self._grid.addWidget(field, line, 1)
        self.fields[limit.setting] = field
        return field

    def _number(self, limit: Limit) -> NumberField:
        field = NumberField()
        field.setSuffix(limit.unit)
        field.setGroupSeparatorShown(True)
        field.setSingleStep(limit.step)
        field.setSpecialValueText(limit.none)
        field.show_range(limit.least, limit.most)
        field.told.connect(lambda value: self._tell(limit.setting, int(value)))
        return field

    def _list_of(self, limit: Limit) -> QComboBox:
        field = QComboBox()
        field.activated.connect(lambda place: self._tell(limit.setting, int(field.itemData(place))))
        return field

    def _choose(self, field: QComboBox, limit: Limit) -> None:
        if [field.itemData(place) for place in range(field.count())] != [value for value, _ in limit.choices]:
            field.clear()
            for value, words in limit.choices:
                field.addItem(words, value)
        field.setCurrentIndex(field.findData(limit.value))
