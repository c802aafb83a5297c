"""What the memory and usage probes read out of /proc."""

from innkeeper_plugins.probes import memory, usage

MEMINFO = """\
MemTotal:       24684084 kB
MemFree:        20000000 kB
MemAvailable:   22000000 kB
SwapTotal:       1048576 kB
HugePages_Total:      64
Hugepagesize:       2048 kB
"""
STAT_BEFORE = """\
cpu  100 0 100 800 0 0 0 0 0 0
cpu0 50 0 50 400 0 0 0 0 0 0
cpu1 50 0 50 400 0 0 0 0 0 0
intr 1
"""
STAT_AFTER = """\
cpu  200 0 150 1000 50 0 0 0 70 0
cpu0 50 0 50 400 0 0 0 0 0 0
cpu1 50 0 50 400 0 0 0 0 0 0
"""


def test_memory_is_counted_in_whole_mib():
    assert memory.parse(MEMINFO) == memory.Memory(
        total_mib=24105, available_mib=21484, swap_mib=1024, huge_pages=64, huge_page_size_kib=2048
    )


def test_a_kernel_that_does_not_print_what_is_available_is_taken_by_what_is_free():
    assert memory.parse("MemTotal: 2048 kB\nMemFree: 1024 kB\nnonsense\n: 5\nX: many\n").available_mib == 1


def test_processor_use_is_the_mean_between_two_readings():
    before, after = usage.parse(STAT_BEFORE), usage.parse(STAT_AFTER)

    assert before == usage.Ticks(busy=200, total=1000, processors=2)
    assert after == usage.Ticks(busy=350, total=1400, processors=2)
    assert usage.used_cores(before, after) == 0.75


def test_two_readings_in_the_same_tick_are_no_use():
    reading = usage.parse(STAT_BEFORE)

    assert usage.used_cores(reading, reading) == 0.0


def test_an_idle_count_that_runs_backwards_is_never_more_than_all_processors():
    assert usage.used_cores(usage.Ticks(0, 100, 2), usage.Ticks(500, 110, 2)) == 2.0


def test_the_load_of_this_machine_lies_between_nothing_and_all_of_it():
    cores, memory_mib = usage.LoadMeter().sample()

    assert 0 <= cores <= usage.parse(usage.STAT.read_text()).processors
    assert 0 <= memory_mib <= memory.read().total_mib
