"""What happens to pixels on the device, whatever the task."""
