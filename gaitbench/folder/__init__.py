"""One's own data, as it lies in folders: dataset and protocol ``folder``. See docs/own-data.md."""
