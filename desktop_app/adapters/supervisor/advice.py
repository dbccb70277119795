"""What an owner can do when the sandbox does not start: the exact commands, found from what the kernel and bwrap say.

Used by `selftest`; the text is shown as it is.
"""

from pathlib import Path

_SYSCTL = Path("/proc/sys")
_PROFILE = "bwrap-userns-restrict"


def fix_for(complaint: str, sysctl: Path = _SYSCTL) -> str:
    """The advice for a sandbox that said `complaint` and did not start."""
    if _value(sysctl, "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "This system's AppArmor forbids sandboxes to ordinary programs. Allow them to bubblewrap with: "
            "sudo apt install bubblewrap apparmor-profiles && "
            f"sudo cp /usr/share/apparmor/extra-profiles/{_PROFILE} /etc/apparmor.d/ && sudo apparmor_parser -r /etc/apparmor.d/{_PROFILE}"
        )
    if _value(sysctl, "kernel/unprivileged_userns_clone") == "0":
        return "This system forbids user namespaces. Allow them with: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _value(sysctl, "user/max_user_namespaces") == "0":
        return "This system allows no user namespaces. Allow them with: sudo sysctl -w user.max_user_namespaces=15000"
    if "namespace" in complaint or "uid map" in complaint or "Operation not permitted" in complaint:
        return "This system (a container, perhaps) does not let programs make sandboxes; share from outside of it. " + complaint[-200:]
    return "The sandbox did not start: " + (complaint[-300:] or "it said nothing")


def _value(sysctl: Path, name: str) -> str:
    try:
        return (sysctl / name).read_text().strip()
    except OSError:
        return ""
