"""SG-CrossGait: silhouettes against LiDAR, with texts about the walk as the space between them."""
