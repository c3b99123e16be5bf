"""Input: TFDS datasets in ArrayRecord form, read by random access and batched by Grain."""
