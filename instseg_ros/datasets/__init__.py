"""Labelled images: COCO, COCO panoptic, Cityscapes and made-up scenes; no torch."""
