"""What boxes tell of their power, by what Linux has in /sys."""

from __future__ import annotations

from pathlib import Path

from supervisor.host.power import Power

CPU = "devices/system/cpu"
RAPL = "class/powercap/intel-rapl:0"


class Box:
    """A /sys with these files, and a clock."""

    def __init__(self, system: Path, **files: str) -> None:
        self.system = system
        self.at = 0.0
        self.put(files)
        self.power = Power(system, lambda: self.at)

    def put(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.system / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")


def energy(microjoules: int) -> dict[str, str]:
    return {f"{RAPL}/energy_uj": str(microjoules), f"{RAPL}/max_energy_range_uj": "1000000000"}


def test_a_box_that_tells_nothing_has_no_figures(tmp_path: Path) -> None:
    assert Box(tmp_path).power.report() == {
        "cpu_mhz": None,
        "cpu_max_mhz": None,
        "cpu_watts": None,
        "throttle_events": None,
        "throttling": None,
    }


def test_frequencies_and_how_often_heat_has_slowed_it_down(tmp_path: Path) -> None:
    box = Box(tmp_path)
    for cpu, now, most in ((0, 800_000, 3_600_000), (1, 2_400_000, 4_000_000)):
        box.put(
            {
                f"{CPU}/cpu{cpu}/cpufreq/scaling_cur_freq": str(now),
                f"{CPU}/cpu{cpu}/cpufreq/cpuinfo_max_freq": str(most),
                f"{CPU}/cpu{cpu}/thermal_throttle/core_throttle_count": "3",
                f"{CPU}/cpu{cpu}/thermal_throttle/package_throttle_count": "0",
            }
        )
    told = box.power.report()
    assert (told["cpu_mhz"], told["cpu_max_mhz"], told["throttle_events"]) == (1600, 4000, 6)


def test_watts_are_the_mean_since_the_report_before(tmp_path: Path) -> None:
    box = Box(tmp_path, **energy(1_000_000))
    assert box.power.report()["cpu_watts"] is None
    box.put(energy(31_000_000))
    box.at = 2.0
    assert box.power.report()["cpu_watts"] == 15.0
    box.put(energy(90_000_000))
    box.at = 2.5
    assert box.power.report()["cpu_watts"] == 15.0  # too soon for another
    box.at = 4.0
    assert box.power.report()["cpu_watts"] == 29.5


def test_a_counter_that_begins_anew_is_no_negative_power(tmp_path: Path) -> None:
    box = Box(tmp_path, **energy(990_000_000))
    box.put(energy(10_000_000))
    box.at = 2.0
    assert box.power.report()["cpu_watts"] == 10.0


def test_parts_of_a_package_are_not_counted_twice(tmp_path: Path) -> None:
    core = "class/powercap/intel-rapl:0:0"
    box = Box(tmp_path, **energy(0))
    files = {f"{core}/energy_uj": "0", f"{core}/max_energy_range_uj": "1000000000"}
    box.put(files)
    box.put({**energy(4_000_000), f"{core}/energy_uj": "3000000"})
    box.at = 2.0
    assert box.power.report()["cpu_watts"] == 2.0


def test_a_raspberry_pi_says_what_holds_it_back(tmp_path: Path) -> None:
    box = Box(tmp_path)
    file = "devices/platform/soc/soc:firmware/get_throttled"
    for bits, words in (
        ("0", []),
        ("50005", ["under_voltage", "throttled"]),
        ("0x8", ["temperature_limit"]),
    ):
        box.put({file: bits})
        assert box.power.report()["throttling"] == words
