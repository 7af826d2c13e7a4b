# The node on Ubuntu, with ROS 2 from its own apt repository. NOT BUILT YET: no registry of images
# could be reached where this was written. Please report what is wrong with it.
#
#   docker build -t instseg_ros .
#   docker run --rm --net=host --ipc=host instseg_ros image:=/camera/image_raw
#
# Arguments of "docker run" after the image's name are those of segmenter.launch.py. For Kilted add
# "--build-arg ROS_DISTRO=kilted", for Humble "--build-arg ROS_DISTRO=humble --build-arg
# BASE=ubuntu:22.04".
#
# NVIDIA GPU, x86-64. ONNX Runtime 1.22 is built for CUDA 12 and cuDNN 9, which this base brings;
# the host needs the driver and the NVIDIA Container Toolkit:
#
#   docker build -t instseg_ros:cuda \
#       --build-arg BASE=nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 \
#       --build-arg ONNXRUNTIME='onnxruntime-gpu==1.22.*' .
#   docker run --rm --gpus all --net=host --ipc=host instseg_ros:cuda \
#       image:=/camera/image_raw provider:=cuda
#
# Jetson: the image without arguments runs on its CPU. For its GPU, PyPI has no wheel: take an image
# of NVIDIA's for the JetPack on the robot as BASE (its Ubuntu decides on ROS_DISTRO), and as
# ONNXRUNTIME the address of a wheel of ONNX Runtime that was built for that JetPack; run with
# "--runtime nvidia".
ARG BASE=ubuntu:24.04
FROM ${BASE}

ARG ROS_DISTRO=jazzy
ARG ONNXRUNTIME=onnxruntime
ENV ROS_DISTRO=${ROS_DISTRO} \
    LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive

RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key \
        -o /usr/share/keyrings/ros-archive-keyring.gpg \
    && . /etc/os-release \
    && echo "deb [signed-by=/usr/share/keyrings/ros-archive-keyring.gpg]" \
        "http://packages.ros.org/ros2/ubuntu ${UBUNTU_CODENAME} main" \
        > /etc/apt/sources.list.d/ros2.list \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        ros-${ROS_DISTRO}-ros-base python3-colcon-common-extensions python3-pip python3-rosdep \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ros2_ws
COPY . src/instseg_ros
# ONNX Runtime comes last: then pip finds NumPy installed and leaves it as it is.
RUN apt-get update \
    && rosdep init && rosdep update --rosdistro ${ROS_DISTRO} \
    && rosdep install --from-paths src --ignore-src -y --dependency-types exec \
        --skip-keys python3-onnxruntime-pip \
    && PIP_BREAK_SYSTEM_PACKAGES=1 pip3 install --no-cache-dir "${ONNXRUNTIME}" \
    && rm -rf /var/lib/apt/lists/*

# The kernels are compiled now instead of at the first start.
RUN . /opt/ros/${ROS_DISTRO}/setup.sh \
    && colcon build --packages-select instseg_ros \
    && . install/setup.sh \
    && install/instseg_ros/lib/instseg_ros/instseg warm-up --provider cpu

ENTRYPOINT ["sh", "-c", \
    ". install/setup.sh && exec ros2 launch instseg_ros segmenter.launch.py \"$@\"", "sh"]
