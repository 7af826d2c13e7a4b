#!/usr/bin/env bash
# Say in one sentence what the machine lacks for the set-up; exit code 1 if anything.
set -u
python=${1:-python3}
missing=()
fits() { "$python" -c "$1" >/dev/null 2>&1; }
if ! command -v "$python" >/dev/null; then
    missing+=(python3 python3-venv python3-dev)
elif ! fits 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'; then
    echo "error: $python is $("$python" -V 2>&1), but Python 3.10 to 3.14 is needed:" \
        'name another one with "make PYTHON=python3.12 ...".' >&2
    exit 1
else
    fits 'import ensurepip, venv' || missing+=(python3-venv)
    fits 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        missing+=(python3-dev)
fi
command -v git >/dev/null || missing+=(git)
command -v c++ >/dev/null || command -v g++ >/dev/null || missing+=(g++)
if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo "error: ROS 2 wheels exist for Linux on x86-64 only and this is $(uname -sm): install" \
        'ROS 2 and use colcon, as the README says.' >&2
    exit 1
fi
if [ ${#missing[@]} -gt 0 ]; then
    echo "error: this machine lacks something; install it with:" \
        "sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
