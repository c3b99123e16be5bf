"""What is the network: rows, layers, modules, cost."""
