"""What stays in a processor's registers: instructions on vectors, in LLVM's own language, for loops to call."""
