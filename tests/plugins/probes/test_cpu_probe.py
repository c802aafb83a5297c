"""What the processor probe reads out of /proc/cpuinfo."""

from innkeeper_plugins import probes
from innkeeper_plugins.probes import cpu

INTEL_WITH_HYPERTHREADING = """\
processor	: 0
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz
physical id	: 0
core id		: 0
flags		: fpu vmx sse4_2 avx

processor	: 1
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz
physical id	: 0
core id		: 0
flags		: fpu vmx sse4_2 avx

processor	: 2
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz
physical id	: 1
core id		: 0
flags		: fpu vmx sse4_2 avx

"""
ARM = """\
processor	: 0
BogoMIPS	: 50.00
Features	: fp asimd
CPU implementer	: 0x41

processor	: 1
BogoMIPS	: 50.00
Features	: fp asimd

Hardware	: BCM2835
"""


def test_hyperthreads_of_one_core_are_counted_as_one_core():
    assert cpu.parse(INTEL_WITH_HYPERTHREADING) == cpu.Cpu(
        model="Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
        vendor="GenuineIntel",
        flags=("avx", "fpu", "sse4_2", "vmx"),
        cores=2,
        threads=3,
    )


def test_hardware_virtualization_is_read_from_the_flags():
    assert cpu.parse(INTEL_WITH_HYPERTHREADING).virtualization == "vmx"
    assert cpu.parse("processor : 0\nflags : fpu svm\n").virtualization == "svm"
    assert cpu.parse("processor : 0\nflags : fpu\n").virtualization == ""


def test_an_architecture_that_prints_no_model_and_no_cores_still_counts():
    assert cpu.parse(ARM) == cpu.Cpu(model="", vendor="", flags=("asimd", "fp"), cores=2, threads=2)


def test_an_empty_cpuinfo_is_no_processor():
    assert cpu.parse("") == cpu.Cpu(model="", vendor="", flags=(), cores=0, threads=0)


def test_this_machine_has_at_least_one_core_and_some_memory():
    capacity = probes.capacity()

    assert capacity.cpu_cores >= 1
    assert capacity.memory_mib > 0
