"""MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) in JAX."""
