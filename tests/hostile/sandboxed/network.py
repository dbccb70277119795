"""Attacks that look for a way out: every kind of socket towards listeners on the owner's machine, and the network's own machinery."""

import array
import fcntl
import os
import socket
import struct
from functools import partial
from pathlib import Path

from tests.hostile.sandboxed.kit import Held, World, attack, each, first, syscall

_WORD = b"out of the sandbox"


def _reach(family: int, kind: int, address: object) -> str:
    with socket.socket(family, kind) as one:
        one.settimeout(0.5)
        one.connect(address)  # type: ignore[arg-type]
        one.send(_WORD)
        return f"reached {address!r}"


@attack("TCP to a listener on the host's loopback", "anyone")
def tcp(world: World) -> str:
    return _reach(socket.AF_INET, socket.SOCK_STREAM, (world["host"], world["tcp"]))


@attack("TCP over IPv6 to a listener on the host's loopback", "anyone")
def tcp6(world: World) -> str:
    return _reach(socket.AF_INET6, socket.SOCK_STREAM, ("::1", world["tcp6"]))


@attack("TCP as Multipath TCP, by a protocol number that a filter may have forgotten", "anyone")
def multipath_tcp(world: World) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as one:
        one.connect((world["host"], world["tcp"]))
        return "reached"


@attack("UDP to a listener on the host's loopback", "anyone")
def udp(world: World) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(_WORD, (world["host"], world["udp"]))
    return "sent"


@attack("UDP over IPv6 to a listener on the host's loopback", "anyone")
def udp6(world: World) -> str:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.sendto(_WORD, ("::1", world["udp6"]))
    return "sent"


@attack("a Unix socket of the owner's, by its path", "anyone")
def unix_path(world: World) -> str:
    return _reach(socket.AF_UNIX, socket.SOCK_STREAM, world["unix"])


@attack("a Unix socket for datagrams, by its path", "anyone")
def unix_datagrams(world: World) -> str:
    return _reach(socket.AF_UNIX, socket.SOCK_DGRAM, world["datagrams"])


@attack("a Unix socket in the abstract namespace, which no file permission guards", "anyone")
def unix_abstract(world: World) -> str:
    return _reach(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + world["abstract"])


@attack("a Unix socket for packets in the abstract namespace", "anyone")
def unix_packets(world: World) -> str:
    return _reach(socket.AF_UNIX, socket.SOCK_SEQPACKET, "\0" + world["packets"])


@attack("the bus, the display, the agents for keys: every socket of the owner's session", "anyone")
def session_sockets(world: World) -> object:
    return each(partial(_reach, socket.AF_UNIX, socket.SOCK_STREAM), world["sockets"].values())


@attack("the system's own sockets at the places where they always lie")
def system_sockets(_world: World) -> object:
    places = [f"/run/{name}" for name in (
        "dbus/system_bus_socket", "systemd/private", "systemd/journal/socket", "docker.sock", "snapd.socket", "nscd/socket",
        "cups/cups.sock", "containerd/containerd.sock", "udev/control",
    )] + ["/dev/log"]  # fmt: skip
    return first([partial(each, partial(_reach, socket.AF_UNIX, kind), places) for kind in (1, 2, 5)])


@attack("the X server's socket, by its path", "anyone")
def x_path(world: World) -> str:
    return _reach(socket.AF_UNIX, socket.SOCK_STREAM, f"/tmp/.X11-unix/X{world['x_number']}")


@attack("the X server's socket in the abstract namespace", "anyone")
def x_abstract(world: World) -> str:
    return _reach(socket.AF_UNIX, socket.SOCK_STREAM, f"\0/tmp/.X11-unix/X{world['x_number']}")


@attack("the same network namespace as the owner's programs", "anyone")
def network_namespace(world: World) -> str:
    if Path("/proc/self/ns/net").stat().st_ino != world["namespaces"]["net"]:
        raise Held("it is another")
    return "it is the same"


@attack("an interface besides lo, found by four ways", "anyone")
def interfaces(_world: World) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:  # the kernel answers the question on any kind of socket
        room = array.array("B", bytes(4096))
        asked = struct.pack("iL", len(room), room.buffer_info()[0])
        used = struct.unpack("iL", fcntl.ioctl(one.fileno(), 0x8912, asked))[0]  # SIOCGIFCONF
    named = {bytes(room[at : at + 16]).split(b"\0")[0].decode() for at in range(0, used, 40)}
    listed = {line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    classes = {place.name for place in Path("/sys/class/net").iterdir()} if Path("/sys/class/net").exists() else set()
    found = named | listed | classes | {name for _, name in socket.if_nameindex()} - {"lo"}
    if not found - {"lo"}:
        raise Held("only lo")
    return ", ".join(sorted(found))


@attack("a route, or a neighbour, or an address that is not lo's", "anyone")
def routes(_world: World) -> str:
    seen = [place for place in ("route", "arp", "rt_cache") if len(_lines(f"/proc/net/{place}")) > 1]
    seen += [line for line in _lines("/proc/net/ipv6_route") if not line.endswith("lo")]
    if not seen:
        raise Held("none")
    return ", ".join(seen)


def _lines(place: str) -> list[str]:
    try:
        return Path(place).read_text().splitlines()
    except FileNotFoundError:
        return []


@attack("netlink, to ask for or to change the network", "anyone")
def netlink(_world: World) -> str:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as one:
        one.bind((0, 0))
        return "open"


@attack("netlink for audit, events of devices, and connections", "anyone")
def netlink_others(_world: World) -> object:
    return each(lambda number: socket.socket(16, 3, number).close(), (4, 9, 11, 12, 15, 16))


@attack("a raw socket", "root")
def raw(_world: World) -> str:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return "open"


@attack("a socket for ping, which needs no privilege")
def ping(_world: World) -> str:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    return "open"


@attack("AF_PACKET, to hear what passes on the wire", "root")
def packet(_world: World) -> str:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    return "open"


@attack("AF_VSOCK, the way from a virtual machine to its host")
def vsock(_world: World) -> str:
    with socket.socket(40, socket.SOCK_STREAM) as one:
        one.settimeout(0.5)
        one.connect((2, 1024))
    return "reached"


@attack("AF_ALG, the kernel's cryptography, where bugs were found")
def alg(_world: World) -> str:
    with socket.socket(38, socket.SOCK_SEQPACKET) as one:
        one.bind(("hash", "sha256"))
    return "open"


@attack("every other family of sockets there is", "anyone")
def every_family(_world: World) -> str:
    opened = []
    for family in (number for number in range(64) if number != socket.AF_UNIX):
        for kind in (1, 2, 3, 4, 5):
            try:
                os.close(syscall("socket", family, kind, 0))
            except OSError:
                continue
            opened.append(family)
    if not opened:
        raise Held("none opens")
    return f"families {sorted(set(opened))}"


@attack("the family's number with high bits set, which the kernel cuts off and a filter may not", "anyone")
def family_with_high_bits(world: World) -> str:
    descriptor = syscall("socket", (7 << 32) | socket.AF_INET, socket.SOCK_STREAM, 0)
    with socket.socket(fileno=descriptor) as one:
        one.connect((world["host"], world["tcp"]))
    return "reached"


@attack("a new interface, or an address for lo, through a Unix socket's controls")
def configure(_world: World) -> object:
    def control(number: int, name: bytes) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            fcntl.ioctl(one.fileno(), number, struct.pack("16sHh20x", name, 0x41, 0))
        return "changed"

    return first([partial(control, 0x8914, b"eth0"), partial(control, 0x8914, b"lo"), partial(control, 0x89A0, b"sublet0"), _tunnel])


def _tunnel() -> str:
    with Path("/dev/net/tun").open("rb"):
        return "open"
