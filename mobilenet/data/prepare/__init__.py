"""From photographs, folders and archives to TFDS datasets in ArrayRecord form."""
