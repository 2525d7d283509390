"""The user's files, in and out: the gate, readers and writers, and the index of a corpus."""
