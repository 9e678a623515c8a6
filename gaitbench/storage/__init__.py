"""How a prepared dataset lies on disk: codecs of frames, shards, the bank that addresses them, and their integrity."""
