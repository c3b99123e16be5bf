"""Published weights of other libraries: addresses, names, preprocessing."""
