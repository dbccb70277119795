"""A key that another wallet made: opened by its passphrase, used, dropped; its file is never touched."""

import json
from pathlib import Path

import pytest
from eth_account import Account

from desktop_app.adapters.keys import LoneKey
from desktop_app.core.errors import AppError

KEY = Account.from_key(b"\x51" * 32)
OTHER = Account.from_key(b"\x52" * 32)
FIELDS = {
    "type": 2, "chainId": 1, "nonce": 0, "to": OTHER.address, "value": 1, "gas": 21_000, "maxFeePerGas": 2, "maxPriorityFeePerGas": 1,
}  # fmt: skip


def kept(folder: Path, address: str = "") -> Path:
    sealed = Account.encrypt(KEY.key, "a passphrase", iterations=2**4)
    path = folder / "key.json"
    path.write_text(json.dumps({**sealed, "address": address or sealed["address"]}))
    return path


def test_it_signs_while_it_is_open(tmp_path: Path) -> None:
    path = kept(tmp_path)
    before, key, secret = path.read_bytes(), LoneKey(path), bytearray(b"a passphrase")
    assert key.address == KEY.address
    with pytest.raises(AppError, match="locked"):
        key.sign_transaction(FIELDS)
    key.open(secret)
    assert not any(secret)  # wiped
    assert Account.recover_transaction(key.sign_transaction(FIELDS)) == KEY.address
    key.close()
    with pytest.raises(AppError, match="locked"):
        key.sign_transaction(FIELDS)
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (before, ["key.json"])


def test_what_does_not_fit_signs_nothing_and_stays_where_it_is(tmp_path: Path) -> None:
    key = LoneKey(kept(tmp_path))
    with pytest.raises(AppError, match="does not open") as trouble:
        key.open(bytearray(b"another"))
    assert "another" not in str(trouble.value)
    lying = LoneKey(kept(tmp_path, OTHER.address[2:].lower()))
    with pytest.raises(AppError, match="not that of the address"):
        lying.open(bytearray(b"a passphrase"))
    for one in (key, lying):
        with pytest.raises(AppError, match="locked"):
            one.sign_transaction(FIELDS)
    (tmp_path / "key.json").write_text("{}")
    with pytest.raises(AppError, match="no keystore"):
        LoneKey(tmp_path / "key.json")
    assert [one.name for one in tmp_path.iterdir()] == ["key.json"]
