"""What the figures were measured on."""

import os
import pathlib
import platform


def read_text(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def processor():
    for line in read_text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def system():
    for line in read_text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.system()


def describe():
    governor = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "system": system(),
        "kernel": platform.release(),
        "governor": governor or "not readable",
        "libc": " ".join(platform.libc_ver()),
        "load_at_the_end": [round(load, 2) for load in os.getloadavg()],
    }
