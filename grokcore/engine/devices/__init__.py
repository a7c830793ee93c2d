"""Devices: all that depends on what computes, one file a kind; nothing else asks which device it is."""
