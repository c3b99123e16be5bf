"""What is a process: entry point, mesh, hosts, signals."""
