"""A page on which a recording or camera is segmented live and the live options are tried.

`sources` reads frames, `player` runs the network and the post-processing on them, `server` shows
the result to browsers; `page/` holds what the browser loads.
"""
