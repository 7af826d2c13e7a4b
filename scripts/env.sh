# Make ROS 2 of the virtual environment known to this shell: "source scripts/env.sh".
# Not for machines on which ROS 2 is installed: there its own setup.bash does this.
instseg_venv=${VENV:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv}
instseg_venv=$(cd "$instseg_venv" && pwd) || return
unset PYTHONPATH PYTHONHOME ROS_DISTRO COLCON_PREFIX_PATH
export AMENT_PREFIX_PATH=$instseg_venv CMAKE_PREFIX_PATH=$instseg_venv
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
export PATH=$instseg_venv/bin:$PATH
# What the wheels would otherwise find out by starting Python a second time.
LD_LIBRARY_PATH=$instseg_venv/lib
for instseg_libs in "$instseg_venv"/lib/python3.*/site-packages/ros_*.libs; do
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$instseg_libs
done
export LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
unset instseg_venv instseg_libs
