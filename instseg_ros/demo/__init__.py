"""The real node on a video, live over DDS: replay, record, picture and report."""
