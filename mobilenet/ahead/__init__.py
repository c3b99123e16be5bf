"""Steps compiled for TPUs that are not there, and what the compiled programs cost."""
