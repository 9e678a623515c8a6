"""TCFDNet: silhouettes against LiDAR range images, with what each sensor adds told by sentences and taken away."""
