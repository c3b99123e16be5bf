"""Fine-tunes MobileNetV2 1.0 from published weights on another dataset.

python train.py --config=configs/finetune.py --workdir=runs/pets --config.data.name=oxford_iiit_pet

On 3,068 photographs of clothes of 10 classes at 160 pixels: 12 minutes on 2 shared cores of an AMD
EPYC; test top-1 87.8 % (3 seeds), and 36.1 % with as many steps from random weights. The command's
pets were never seen.

Other networks by model.name and model.width, other weights by initial_weights: `keras`,
`timm:/path/to/file`, or `run:runs/imagenet`, a run of one's own. The network gets a new classifier,
and what lies before it learns at a quarter of the classifier's rate. Padding, epsilon and the scale
of pixels are those that the weights were trained with. Rates and epochs are our choice, not tuned.
"""

from ml_collections import ConfigDict

from mobilenet import config as base


def get_config(variant: str = "") -> ConfigDict:
    config = base.get_config()
    config.initial_weights = "torchvision"
    config.batch_size = 32
    config.total_epochs = 3.0
    config.compute_dtype = "float32"

    # As in PyTorch. slim's 0.997 needs more steps than a short run has.
    config.model.norm_momentum = 0.9
    config.model.dropout = 0.2

    config.data.name = "oxford_iiit_pet"
    config.data.eval_split = "test"
    # Photographs of small datasets mostly show the object large.
    config.data.crop_area = (0.25, 1.0)

    config.augment.mean = None
    config.augment.stddev = None

    config.optimizer.name = "sgd"
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 4e-5
    config.optimizer.body_rate = 0.25
    config.schedule.name = "cosine"
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * (0.02 / 32)
    config.schedule.warmup_epochs = 0.5

    config.evaluation.batch_size = 64
    config.log.every_steps = 20
    return base.with_variant(config, variant)
