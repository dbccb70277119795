"""Tiers by measurement, never by name; and names that the figures do not bear out."""

from dataclasses import asdict, replace

import pytest

from desktop_app.core.bench import (
    Measured,
    Part,
    Standing,
    Verdict,
    attestor_refusal,
    bench_steps,
    benchmark_record,
    measured_of,
    part_at,
    record_bytes,
    tier_in,
    verdict,
)
from desktop_app.core.cards import Card, card_of
from desktop_app.core.gpu import Device, DeviceKind, Tier, hardware_digest


def device(name: str, memory_mb: int = 24_576) -> Device:
    return Device(DeviceKind.NVIDIA, "GPU-1234", name, memory_mb, 350, driver="580.95")


RTX_3090 = Measured(fp32_tflops=29, bf16_tflops=72, fp16_tflops=73, sustained_tflops=66, copy_gbps=840, memory_mb=24_300)
P40 = Measured(fp32_tflops=10.5, bf16_tflops=5.3, fp16_tflops=10.0, sustained_tflops=9.4, copy_gbps=290, memory_mb=24_000)
H200 = Measured(fp32_tflops=52, bf16_tflops=780, fp16_tflops=770, sustained_tflops=690, copy_gbps=4300, memory_mb=140_000)
LAPTOP_5090 = Measured(fp32_tflops=38, bf16_tflops=97, fp16_tflops=97, sustained_tflops=80, copy_gbps=790, memory_mb=24_200)


@pytest.mark.parametrize(
    ("name", "measured", "tier"),
    [
        ("NVIDIA GeForce RTX 3090", RTX_3090, Tier.LARGE),
        ("Tesla P40", P40, Tier.SMALL),  # much memory, little speed; bfloat16 only emulated
        ("NVIDIA H200", H200, Tier.DATACENTRE),
    ],
)
def test_honest_cards_fit_their_names(name: str, measured: Measured, tier: Tier) -> None:
    assert verdict(device(name), measured) == Verdict(tier, Standing.FITS)


def test_a_name_lifts_no_card() -> None:
    boastful = verdict(device("NVIDIA H200"), RTX_3090)
    assert boastful.tier is Tier.LARGE
    assert boastful.standing is Standing.UNVERIFIED
    assert boastful.doubts == (
        "memory: 24.3 where 141 is specified",
        "memory bandwidth: 840.0 where 4890 is specified",
        "16-bit speed: 73.0 where 989 is specified",
    )


def test_figures_too_good_for_a_card_are_doubted() -> None:
    lying = replace(RTX_3090, copy_gbps=936 * 1.16)
    assert verdict(device("NVIDIA GeForce RTX 3090"), lying).standing is Standing.UNVERIFIED
    for share, standing in ((0.36, Standing.FITS), (1.14, Standing.FITS), (0.34, Standing.UNVERIFIED)):
        assert verdict(device("GeForce RTX 3090"), replace(RTX_3090, fp32_tflops=35.6 * share)).standing is standing


def test_an_unlisted_card_is_filed_by_its_figures_alone() -> None:
    assert verdict(device("NVIDIA GeForce RTX 5090 Laptop GPU"), LAPTOP_5090) == Verdict(Tier.LARGE, Standing.UNLISTED)
    assert verdict(device(""), RTX_3090) == Verdict(Tier.LARGE, Standing.UNLISTED)


@pytest.mark.parametrize(
    ("change", "tier"),
    [
        ({}, Tier.LARGE),
        ({"memory_mb": 21_999}, Tier.MEDIUM),
        ({"copy_gbps": 449}, Tier.MEDIUM),
        ({"sustained_tflops": 44}, Tier.MEDIUM),
        ({"sustained_tflops": 10}, Tier.SMALL),
        ({"bf16_tflops": 10, "fp16_tflops": 10}, Tier.SMALL),  # sustained cannot be more than it does at all
        ({"copy_gbps": 119}, None),
        ({"memory_mb": 5_000}, None),
    ],
)
def test_a_tier_asks_for_memory_speed_and_bandwidth(change: dict[str, float], tier: Tier | None) -> None:
    assert verdict(device("some card"), replace(RTX_3090, **change)).tier is tier


def test_the_practice_device_is_what_it_is() -> None:
    cpu = Device(DeviceKind.PRACTICE, "cpu-0", "CPU", 4096, 65)
    assert verdict(cpu, replace(RTX_3090, memory_mb=64)) == Verdict(Tier.PRACTICE, Standing.FITS)


def test_figures_must_all_be_there() -> None:
    told = asdict(RTX_3090) | {"to_device_gbps": 25.0}
    assert measured_of(told) == RTX_3090
    assert measured_of(told | {"copy_gbps": -1.0}) is None
    del told["memory_mb"]
    assert measured_of(told) is None


@pytest.mark.parametrize("name", ["NVIDIA GeForce RTX 4090", "GeForce RTX 4090", "rtx  4090"])
def test_drivers_name_a_card_in_several_ways(name: str) -> None:
    assert card_of(name) == Card(24, 1010, 82.6, 165)


def test_a_laptops_card_is_another_than_its_namesake() -> None:
    assert card_of("NVIDIA GeForce RTX 4090 Laptop GPU") is None
    assert card_of("Tesla T4") == card_of("NVIDIA T4")
    assert card_of("NVIDIA A100-SXM4-80GB") == Card(80, 2040, 19.5, 312)


def test_the_plan_is_walked_part_by_part() -> None:
    walked = [part_at(index) for index in range(bench_steps(2))]
    assert walked[0] == (Part.FP32, 0)
    assert walked[14] == (Part.BF16, 0)
    assert walked[-40:] == [(Part.SUSTAINED, place) for place in range(40)]
    assert {part for part, _ in walked} == set(Part)
    assert bench_steps(2) - bench_steps(0) == 40


def test_the_record_names_the_gpu_by_digest_and_is_the_same_bytes_twice() -> None:
    record = benchmark_record(device("NVIDIA GeForce RTX 3090"), RTX_3090, "torch 2.13.0", 7, 1_800_000_000)
    raw = record_bytes(record)
    assert raw == record_bytes(benchmark_record(device("NVIDIA GeForce RTX 3090"), RTX_3090, "torch 2.13.0", 7, 1_800_000_000))
    assert b"GPU-1234" not in raw
    assert record.hardware == hardware_digest("GPU-1234")
    assert b'["copy_gbps",840000]' in raw
    assert (record.tier, record.standing, record.driver) == ("large", "fits", "580.95")
    slow = benchmark_record(replace(device("x"), driver=None), replace(RTX_3090, memory_mb=1), "torch 2.13.0", 7, 1)
    assert (slow.tier, slow.standing, slow.driver) == ("", "unlisted", "")


def test_an_attestor_vouches_for_the_figures_and_for_nothing_else() -> None:
    card, hardware = device("NVIDIA GeForce RTX 3090"), hardware_digest("GPU-1234")
    record = benchmark_record(card, RTX_3090, "torch 2.13.0", 7, 1)
    assert attestor_refusal(record, hardware, Tier.LARGE) is None
    assert attestor_refusal(record, hardware_digest("GPU-9"), Tier.LARGE) == "the benchmark is another GPU's"
    boastful = replace(record, tier="datacentre")
    assert tier_in(boastful) is Tier.LARGE
    assert "tier large, not of datacentre" in (attestor_refusal(boastful, hardware, Tier.DATACENTRE) or "")
    slow = benchmark_record(card, replace(RTX_3090, copy_gbps=10.0), "torch 2.13.0", 7, 1)
    assert "tier none" in (attestor_refusal(slow, hardware, Tier.LARGE) or "")
    renamed = replace(record, name="NVIDIA H200", standing="fits")
    assert "not those of a NVIDIA H200" in (attestor_refusal(renamed, hardware, Tier.LARGE) or "")
    halved = replace(record, figures=record.figures[:3])
    assert tier_in(halved) is None
    assert attestor_refusal(halved, hardware, Tier.LARGE) == "the benchmark's figures are not whole"
