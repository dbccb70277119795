"""Keys on disk: made once, opened only by their secret, readable by other wallets, and never lost to a second write.

Real keystore files throughout. Most tests use a cheap scrypt, which changes the cost and nothing else; one uses the full one.
"""

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account
from mnemonic import Mnemonic

from desktop_app.adapters.chain import ids
from desktop_app.adapters.keys import OPERATOR, WALLET, Keys, words
from desktop_app.adapters.keys.files import SCRYPT_N
from desktop_app.core.errors import AppError

PASSPHRASE = b"four words nobody links"
CHEAP = 1 << 4
OTHER = "legal winner thank year wave sausage worth useful " * 2 + "legal winner thank year wave sausage worth title"


def given(passphrase: bytes | None = PASSPHRASE) -> Callable[[], bytearray | None]:
    return lambda: None if passphrase is None else bytearray(passphrase)


def keys_in(folder: Path, passphrase: bytes | None = PASSPHRASE, *, n: int = CHEAP) -> Keys:
    return Keys(folder / "keys", given(passphrase), n=n)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in (folder / "keys").iterdir())


def test_a_first_start_makes_two_private_files_and_a_second_opens_them(tmp_path: Path) -> None:
    began = time.perf_counter()
    made = keys_in(tmp_path, n=SCRYPT_N).create_or_open()
    print(f"first start {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    opened = keys_in(tmp_path, n=SCRYPT_N).create_or_open()
    print(f"later start {time.perf_counter() - began:.2f} s")
    assert opened == made and not made.needs_passphrase and made.wallet != made.operator
    assert names(tmp_path) == ["operator.json", "wallet.json"]
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for name in names(tmp_path):
        path = tmp_path / "keys" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text())["crypto"]["kdfparams"]["n"] == 1 << 18


def test_another_wallet_program_opens_the_file_and_the_words_lead_to_the_same_key(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    made = keys.create_or_open()
    content = json.loads((tmp_path / "keys" / "wallet.json").read_text())
    key = Account.decrypt(content, PASSPHRASE.decode())
    assert Account.from_key(key).address == made.wallet
    Account.enable_unaudited_hdwallet_features()
    said = keys.words()
    assert len(said) == 24
    assert Account.from_mnemonic(" ".join(said)).address == made.wallet


def test_the_derivation_is_the_standard_one() -> None:
    # what every development chain prints as its first account
    entropy = bytes(Mnemonic("english").to_entropy("test test test test test test test test test test test junk"))
    assert Account.from_key(words.key_of(entropy)).address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_a_lax_folder_is_made_private_and_half_written_files_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o755)
    (tmp_path / "keys" / ".new-abc").write_text("{")
    keys_in(tmp_path).create_or_open()
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert names(tmp_path) == ["operator.json", "wallet.json"]


def test_without_a_passphrase_nothing_is_made(tmp_path: Path) -> None:
    found = keys_in(tmp_path, None).create_or_open()
    assert found.needs_passphrase and found.wallet == found.operator == ""
    assert names(tmp_path) == []


def test_a_locked_wallet_still_shows_its_address(tmp_path: Path) -> None:
    made = keys_in(tmp_path).create_or_open()
    locked = keys_in(tmp_path, None)
    found = locked.create_or_open()
    assert found.needs_passphrase
    assert (found.wallet, found.operator) == (made.wallet, made.operator)
    assert locked.address(WALLET) == made.wallet
    with pytest.raises(AppError, match="locked"):
        locked.sign_message(OPERATOR, b"hello")
    assert locked.create_or_open(bytearray(PASSPHRASE)) == made
    assert ids.recover_message(b"hello", locked.sign_message(OPERATOR, b"hello")) == made.operator
    assert locked.create_or_open() == made  # open already: nothing to ask for


def test_a_wrong_passphrase_opens_nothing_and_changes_nothing(tmp_path: Path) -> None:
    keys_in(tmp_path).create_or_open()
    before = {name: (tmp_path / "keys" / name).read_bytes() for name in names(tmp_path)}
    keys = keys_in(tmp_path, b"four words anybody links")
    with pytest.raises(AppError, match="does not open"):
        keys.create_or_open()
    with pytest.raises(AppError, match="does not open"), keys.unlock_wallet():
        pass
    with pytest.raises(AppError, match="locked"):
        keys.sign_message(OPERATOR, b"hello")
    assert {name: (tmp_path / "keys" / name).read_bytes() for name in names(tmp_path)} == before


def test_a_lost_operator_key_is_made_anew_only_under_the_wallets_own_passphrase(tmp_path: Path) -> None:
    made = keys_in(tmp_path).create_or_open()
    (tmp_path / "keys" / "operator.json").unlink()
    with pytest.raises(AppError, match="does not open"):
        keys_in(tmp_path, b"four words anybody links").create_or_open()
    assert names(tmp_path) == ["wallet.json"]
    again = keys_in(tmp_path).create_or_open()
    assert again.wallet == made.wallet and again.operator != made.operator


def test_a_short_passphrase_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="at least 12"):
        keys_in(tmp_path, b"hunter2").create_or_open()
    assert names(tmp_path) == []


def test_the_wallet_signs_only_while_it_is_unlocked(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    made = keys.create_or_open()
    with pytest.raises(AppError, match="wallet key is locked"):
        keys.sign_message(WALLET, b"pay")
    with keys.unlock_wallet():
        assert ids.recover_message(b"pay", keys.sign_message(WALLET, b"pay")) == made.wallet
    with pytest.raises(AppError, match="wallet key is locked"):
        keys.sign_message(WALLET, b"pay")
    with pytest.raises(RuntimeError), keys.unlock_wallet():
        raise RuntimeError
    with pytest.raises(AppError, match="wallet key is locked"):
        keys.sign_message(WALLET, b"pay")


def test_closed_keys_sign_no_more(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    keys.create_or_open()
    keys.close()
    with pytest.raises(AppError, match="locked"):
        keys.sign_message(OPERATOR, b"hello")


def test_keys_of_other_roles_sign_transactions(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", given(), standing=("deployer", "relayer"), wallet=False, n=CHEAP)
    keys.create_or_open()
    assert names(tmp_path) == ["deployer.json", "relayer.json"]
    raw = keys.sign_transaction(
        "relayer",
        {"chainId": 31337, "nonce": 0, "to": keys.address("deployer"), "value": 1, "gas": 21_000,
         "maxFeePerGas": 10, "maxPriorityFeePerGas": 1, "type": 2},
    )  # fmt: skip
    assert Account.recover_transaction(raw) == keys.address("relayer")
    with pytest.raises(AppError, match="no renter key"):
        keys.address("renter")


def test_the_words_bring_the_wallet_back_on_another_machine(tmp_path: Path) -> None:
    keys = keys_in(tmp_path / "old")
    made = keys.create_or_open()
    spoken = " ".join(keys.words()).upper()
    other = keys_in(tmp_path / "new", None)
    found = other.restore(spoken, bytearray(b"another passphrase"))
    assert found.wallet == made.wallet
    assert keys_in(tmp_path / "new", b"another passphrase").create_or_open() == found


def test_restoring_keeps_the_old_wallet_aside_and_the_operator_as_it_is(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    made = keys.create_or_open()
    before = (tmp_path / "keys" / "wallet.json").read_bytes()
    found = keys.restore(OTHER, bytearray(b"a new passphrase"))
    assert found.wallet != made.wallet and found.operator == made.operator
    assert (tmp_path / "keys" / "wallet.json.replaced-1").read_bytes() == before
    keys.restore(OTHER, bytearray(b"a new passphrase"))
    assert (tmp_path / "keys" / "wallet.json.replaced-1").read_bytes() == before
    assert keys_in(tmp_path, b"a new passphrase").create_or_open() == found


def test_a_forgotten_passphrase_costs_the_operator_key_and_nothing_else(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    made = keys.create_or_open()
    spoken = " ".join(keys.words())
    found = keys_in(tmp_path, None).restore(spoken, bytearray(b"a new passphrase"))
    assert found.wallet == made.wallet and found.operator != made.operator
    assert keys_in(tmp_path, b"a new passphrase").create_or_open() == found
    assert "operator.json.replaced-1" in names(tmp_path)


@pytest.mark.parametrize(
    ("spoken", "reason"),
    [
        ("abandon " * 24, "checksum"),
        ("abandon " * 22 + "abandno art", "number 23"),
        ("abandon " * 11 + "about", "12 words"),
        ("", "0 words"),
        ("abandon " * 23 + "art", "published example"),
        ("zoo " * 23 + "vote", "published example"),
    ],
)
def test_wrong_words_are_refused_with_the_reason_and_never_repeated(tmp_path: Path, spoken: str, reason: str) -> None:
    keys = keys_in(tmp_path)
    keys.create_or_open()
    with pytest.raises(AppError, match=reason) as caught:
        keys.restore(spoken)
    assert "aband" not in str(caught.value)
    assert names(tmp_path) == ["operator.json", "wallet.json"]


def flip(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{", ""),
        ('"version": 3', '"version": 4'),
        ('"n": 16', '"n": 1099511627776'),
        ('"n": 16', '"n": "x"'),
        ('"dklen"', '"klen"'),
        ("aes-128-ctr", "none"),
    ],
)
def test_a_damaged_wallet_is_kept_aside_and_never_replaced_by_a_new_one(tmp_path: Path, old: str, new: str) -> None:
    keys = keys_in(tmp_path)
    made = keys.create_or_open()
    spoken = " ".join(keys.words())
    path = tmp_path / "keys" / "wallet.json"
    flip(path, old, new)
    content = path.read_bytes()
    with pytest.raises(AppError, match=r"damaged.*24 words"):
        keys_in(tmp_path).create_or_open()
    assert (tmp_path / "keys" / "wallet.json.damaged-1").read_bytes() == content
    with pytest.raises(AppError, match=r"missing.*24 words"):
        keys_in(tmp_path).create_or_open()
    assert keys_in(tmp_path).restore(spoken) == made
    assert (tmp_path / "keys" / "wallet.json.damaged-1").read_bytes() == content


def test_a_wallet_file_that_names_another_address_is_damaged(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    made = keys.create_or_open()
    flip(tmp_path / "keys" / "wallet.json", made.wallet[2:], made.operator[2:])
    with pytest.raises(AppError, match="damaged"), keys.unlock_wallet():
        pass


def test_a_vanished_wallet_is_not_silently_replaced(tmp_path: Path) -> None:
    keys_in(tmp_path).create_or_open()
    (tmp_path / "keys" / "wallet.json").unlink()
    with pytest.raises(AppError, match="missing"):
        keys_in(tmp_path).create_or_open()
    assert names(tmp_path) == ["operator.json"]
