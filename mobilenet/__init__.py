"""MobileNetV1 (arXiv 1704.04861) and MobileNetV2 (arXiv 1801.04381) in JAX."""

import time

# Before any of its files is read: what changes later is not what this process runs.
IMPORTED_AT = time.time()
