"""How a network wants to see its images."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What becomes of an image before the network; part of what its weights mean.

    Attributes:
      mean: per channel, of pixel values in 0..255, subtracted first.
      stddev: per channel, divided by afterwards.
      resolution: pixels, the side of the square input.
      eval_crop, eval_fraction, interpolation: the keys of `config.data` (mobilenet/config.py).
    """

    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    stddev: tuple[float, float, float] = (127.5, 127.5, 127.5)
    resolution: int = 224
    eval_crop: str = "central_fraction"
    eval_fraction: float = 0.875
    interpolation: str = "bilinear"

    def describe(self) -> str:
        """Returns all of it in a few words."""
        if self.eval_crop == "center":
            short = round(self.resolution / self.eval_fraction)
            crop = f"short side {short}, centre {self.resolution}"
        elif self.eval_crop == "window":
            crop = f"centre {self.resolution} of the image as it is"
        else:
            crop = f"central {self.eval_fraction:g} of both sides, squeezed to {self.resolution}"
        mean, stddev = (", ".join(f"{x:g}" for x in v) for v in (self.mean, self.stddev))
        return f"{crop}, {self.interpolation}, (pixels - [{mean}]) / [{stddev}]"


# slim's inception preprocessing: images of [-1, 1] (preprocessing/inception_preprocessing.py).
SLIM = Preprocessing()

# ImageNet's own mean and standard deviation, as torchvision and timm have them.
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STDDEV = (0.229 * 255, 0.224 * 255, 0.225 * 255)
