"""What an owner can do when the sandbox does not start or does not hold: the exact commands, from what the system says of itself.

Used by `selftest`, `session` and whoever finds a part missing; the text is shown as it is.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from desktop_app.core.state import Check

_PROFILE = "bwrap-userns-restrict"
_SETTINGS = "/etc/sysctl.d/90-sublet.conf"
_INSTALLERS = {
    "debian": "sudo apt install", "ubuntu": "sudo apt install", "fedora": "sudo dnf install", "rhel": "sudo dnf install",
    "arch": "sudo pacman -S", "suse": "sudo zypper install", "alpine": "sudo apk add", "void": "sudo xbps-install", "gentoo": "sudo emerge",
}  # fmt: skip
_PACKAGES = {
    "bubblewrap": {"gentoo": "sys-apps/bubblewrap"},
    "libseccomp2": dict.fromkeys(("fedora", "rhel", "arch", "alpine", "void"), "libseccomp") | {"gentoo": "sys-libs/libseccomp"},
}


def fix_for(complaint: str, root: Path = Path("/")) -> str:
    """The advice for a sandbox that said `complaint` and did not start. `root` is where the system's own files are looked for."""
    if _value(root, "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return _fix_for_apparmor(root)
    if _value(root, "kernel/unprivileged_userns_clone") == "0":
        return "This system forbids user namespaces. Allow them with: " + _setting("kernel.unprivileged_userns_clone=1")
    if _value(root, "user/max_user_namespaces") == "0":
        return "This system allows no user namespaces. Allow them with: " + _setting("user.max_user_namespaces=15000")
    if "seccomp" in complaint.lower():
        return "This kernel cannot filter system calls (CONFIG_SECCOMP_FILTER). Start the kernel that your system came with."
    if "nknown option" in complaint:
        return "The system's bwrap is older than 0.8. Bring it up to date with: " + install("bubblewrap", root)
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        unconfined = " ".join(f"--security-opt {what}=unconfined" for what in ("seccomp", "apparmor", "systempaths"))
        return f"This container lets no program make sandboxes. Share from outside of it, or start it with: {unconfined}"
    if "namespace" in complaint or "uid map" in complaint or "Operation not permitted" in complaint:
        return "This system (a container, perhaps) does not let programs make sandboxes; share from outside of it. " + complaint[-200:]
    return "The sandbox did not start: " + (complaint[-300:] or "it said nothing")


def fix_for_walls(fallen: Sequence[Check]) -> str:
    """The advice for a sandbox that started and did not hold."""
    failed = ", ".join(check.name for check in fallen)
    return f"The sandbox started, but does not hold: {failed}. Please report this with the output of: {sys.argv[0] or 'sublet'} doctor"


def install(package: str, root: Path = Path("/")) -> str:
    """The command that installs a package, by Debian's name for it, on this distribution."""
    for name in _distribution(root):
        if name in _INSTALLERS:
            return f"{_INSTALLERS[name]} {_PACKAGES.get(package, {}).get(name, package)}"
    return f"{_INSTALLERS['debian']} {package}, or however this system installs it"


def _fix_for_apparmor(root: Path) -> str:
    """Since Ubuntu 23.10: only programs with a profile may make sandboxes; the one for bubblewrap is there, or in a package."""
    words = ["sudo apt install bubblewrap"]
    if not (root / "etc/apparmor.d" / _PROFILE).exists():
        words[0] += " apparmor-profiles"
        words.append(f"sudo cp /usr/share/apparmor/extra-profiles/{_PROFILE} /etc/apparmor.d/")
    words.append(f"sudo apparmor_parser -r /etc/apparmor.d/{_PROFILE}")
    return "This system's AppArmor forbids sandboxes to ordinary programs. Allow them to bubblewrap with: " + " && ".join(words)


def _setting(words: str) -> str:
    """For now, and for every start to come."""
    return f"echo {words} | sudo tee -a {_SETTINGS} && sudo sysctl --system"


def _distribution(root: Path) -> list[str]:
    """The name of this distribution, and of those that it is like."""
    try:
        lines = (root / "etc/os-release").read_text().splitlines()
    except OSError:
        return []
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    return [word for key in ("ID", "ID_LIKE") for word in told.get(key, "").strip('"').split()]


def _value(root: Path, name: str) -> str:
    try:
        return (root / "proc/sys" / name).read_text().strip()
    except OSError:
        return ""
